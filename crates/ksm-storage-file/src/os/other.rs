use std::{
    fs::{self, File, Metadata, OpenOptions},
    io,
    path::Path,
    time::UNIX_EPOCH,
};

use super::Placed;

pub(crate) fn without_waiting(_: &mut OpenOptions) {}

pub(crate) fn private(_: &mut OpenOptions) {}

/// As if nobody else could get at it.
pub(crate) fn mode(_: &Metadata) -> u32 {
    0o600
}

pub(crate) fn links(_: &Metadata) -> u64 {
    1
}

pub(crate) fn identity(metadata: &Metadata) -> [u128; 3] {
    let since = |time: io::Result<std::time::SystemTime>| {
        time.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_nanos())
    };
    [metadata.len().into(), since(metadata.modified()), since(metadata.created())]
}

#[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
pub(crate) fn keep_owner(_: &Metadata, _: &File) -> io::Result<()> {
    Ok(())
}

pub(crate) fn replace(new: &Path, path: &Path) -> io::Result<Placed> {
    fs::rename(new, path).map(|()| Placed::Replaced)
}

pub(crate) fn create(new: &Path, path: &Path) -> io::Result<Placed> {
    replace(new, path)
}

#[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
