#![expect(clippy::unnecessary_wraps, reason = "what cannot fail here can fail elsewhere")]

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io,
    path::Path,
    time::UNIX_EPOCH,
};

use ksm_storage_core::ErrorKind;

use super::Placed;

pub(crate) fn without_waiting(_: &mut OpenOptions) {}

pub(crate) fn private(_: &mut OpenOptions) {}

pub(crate) fn make_private(_: &File) -> io::Result<()> {
    Ok(())
}

/// Assumes that nobody else has access.
pub(crate) fn mode(_: &Metadata) -> u32 {
    0o600
}

pub(crate) fn foreign_owner(_: &Metadata) -> Option<u32> {
    None
}

pub(crate) fn links(_: &Metadata) -> u64 {
    1
}

/// An open file cannot be replaced.
pub(crate) fn same_file(_: &Metadata, _: &Metadata) -> bool {
    true
}

pub(crate) fn identity(metadata: &Metadata) -> [u128; 3] {
    let since = |time: io::Result<std::time::SystemTime>| {
        time.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_nanos())
    };
    [metadata.len().into(), since(metadata.modified()), since(metadata.created())]
}

pub(crate) fn classify(_: &io::Error) -> Option<(ErrorKind, &'static str)> {
    None
}

pub(crate) fn exchange(new: &Path, path: &Path) -> io::Result<Placed> {
    fs::rename(new, path).map(|()| Placed::Replaced)
}

pub(crate) fn create(new: &Path, path: &Path) -> io::Result<Placed> {
    exchange(new, path)
}

pub(crate) fn open_folder(_: &Path) -> io::Result<Option<File>> {
    Ok(None)
}

pub(crate) fn sync_folder(_: &File) -> io::Result<()> {
    Ok(())
}
