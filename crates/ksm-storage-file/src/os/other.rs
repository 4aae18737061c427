#![expect(clippy::unnecessary_wraps, reason = "what cannot fail here can fail elsewhere")]

use std::{
    fs::{self, File, Metadata, OpenOptions},
    hash::Hash,
    io,
    path::Path,
};

use ksm_storage_core::ErrorKind;

use super::Placed;

pub(crate) fn options() -> OpenOptions {
    OpenOptions::new()
}

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

pub(crate) fn identity(metadata: &Metadata) -> impl Hash + PartialEq {
    (metadata.len(), metadata.modified().ok(), metadata.created().ok())
}

pub(crate) fn classify(_: &io::Error) -> Option<(ErrorKind, &'static str)> {
    None
}

pub(crate) fn place(new: &Path, path: &Path, _: Placed) -> io::Result<Placed> {
    fs::rename(new, path).map(|()| Placed::Replaced)
}

pub(crate) fn folder_sync(_: &Path) -> io::Result<impl FnOnce() -> io::Result<()>> {
    Ok(|| Ok(()))
}
