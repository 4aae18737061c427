use std::{
    fs::{self, File, Metadata, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt, fchown},
    path::Path,
};

use rustix::fs::OFlags;

use super::Placed;

/// Follow no link, and wait for nobody at the other end of a pipe.
pub(crate) fn without_waiting(options: &mut OpenOptions) {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
}

/// Created files are their owner's alone.
pub(crate) fn private(options: &mut OpenOptions) {
    options.mode(0o600);
}

pub(crate) fn mode(metadata: &Metadata) -> u32 {
    metadata.mode() & 0o7777
}

/// The number of names of a file.
pub(crate) fn links(metadata: &Metadata) -> u64 {
    metadata.nlink()
}

/// The identity of a file, which also changes when it is written, linked or renamed.
pub(crate) fn identity(metadata: &Metadata) -> [i64; 7] {
    let [dev, ino, len] = [metadata.dev(), metadata.ino(), metadata.len()].map(u64::cast_signed);
    [dev, ino, len, metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()]
}

/// Gives the new file to the owner of the old one.
pub(crate) fn keep_owner(old: &Metadata, new: &File) -> io::Result<()> {
    if old.uid() == new.metadata()?.uid() {
        return Ok(());
    }
    fchown(new, Some(old.uid()), Some(old.gid()))
}

/// Puts `new` where a file is, which must be there.
pub(crate) fn replace(new: &Path, path: &Path) -> io::Result<Placed> {
    in_one_step(new, path, Step::Exchange)
}

/// Puts `new` where no file is; that one is there is an error.
pub(crate) fn create(new: &Path, path: &Path) -> io::Result<Placed> {
    in_one_step(new, path, Step::KeepWhatIsThere)
}

#[derive(Clone, Copy)]
enum Step {
    Exchange,
    KeepWhatIsThere,
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn in_one_step(new: &Path, path: &Path, step: Step) -> io::Result<Placed> {
    use rustix::{
        fs::{CWD, RenameFlags, renameat_with},
        io::Errno,
    };
    let (flags, placed) = match step {
        Step::Exchange => (RenameFlags::EXCHANGE, Placed::Exchanged),
        Step::KeepWhatIsThere => (RenameFlags::NOREPLACE, Placed::New),
    };
    match renameat_with(CWD, new, CWD, path, flags) {
        Ok(()) => Ok(placed),
        // The file system does not have it.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => fs::rename(new, path).map(|()| Placed::Replaced),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn in_one_step(new: &Path, path: &Path, _: Step) -> io::Result<Placed> {
    fs::rename(new, path).map(|()| Placed::Replaced)
}

pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
