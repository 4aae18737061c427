use std::{
    fs::{self, File, Metadata, OpenOptions, Permissions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use ksm_storage_core::ErrorKind;
use rustix::{fs::OFlags, io::Errno, process::geteuid};

use super::Placed;

const PRIVATE: u32 = 0o600;

/// Follows no link, and does not wait for the other end of a pipe.
pub(crate) fn without_waiting(options: &mut OpenOptions) {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
}

/// Makes created files accessible only to their owner.
pub(crate) fn private(options: &mut OpenOptions) {
    options.mode(PRIVATE);
}

/// Sets the mode that [`private`] asks for, regardless of the umask.
pub(crate) fn make_private(file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    if !metadata.is_file() || mode(&metadata) == PRIVATE {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(PRIVATE))
}

pub(crate) fn mode(metadata: &Metadata) -> u32 {
    metadata.mode() & 0o7777
}

/// The owner, if it is not this process's user.
pub(crate) fn foreign_owner(metadata: &Metadata) -> Option<u32> {
    Some(metadata.uid()).filter(|uid| *uid != geteuid().as_raw())
}

/// The number of hard links.
pub(crate) fn links(metadata: &Metadata) -> u64 {
    metadata.nlink()
}

pub(crate) fn same_file(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// The identity of a file, which also changes when it is written, linked or renamed.
pub(crate) fn identity(metadata: &Metadata) -> [i64; 7] {
    let [dev, ino, len] = [metadata.dev(), metadata.ino(), metadata.len()].map(u64::cast_signed);
    [dev, ino, len, metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()]
}

/// Kind and remedy of an error without a specific [`io::ErrorKind`].
pub(crate) fn classify(error: &io::Error) -> Option<(ErrorKind, &'static str)> {
    match Errno::from_io_error(error)? {
        Errno::LOOP => Some((ErrorKind::InvalidArgument, "remove the symbolic link")),
        Errno::NXIO => Some((ErrorKind::InvalidArgument, "set the path of a regular file")),
        Errno::MFILE | Errno::NFILE => {
            Some((ErrorKind::Unavailable, "raise the limit of open files (ulimit -n)"))
        }
        Errno::NOLCK => Some((ErrorKind::Unsupported, "move the file to a file system with locks")),
        _ => None,
    }
}

/// Exchanges `new` with the file at `path`, which must exist.
pub(crate) fn exchange(new: &Path, path: &Path) -> io::Result<Placed> {
    rename_with(new, path, Placed::Exchanged)
}

/// Moves `new` to `path`, where no file may exist.
pub(crate) fn create(new: &Path, path: &Path) -> io::Result<Placed> {
    rename_with(new, path, Placed::New)
}

/// Replaces the file if the file system supports neither operation.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn rename_with(new: &Path, path: &Path, placed: Placed) -> io::Result<Placed> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};

    let flags = if placed == Placed::Exchanged { RenameFlags::EXCHANGE } else { RenameFlags::NOREPLACE };
    #[cfg(test)]
    let flags = if crate::failpoint::lacks_exchange() { flags.complement() } else { flags };
    match renameat_with(CWD, new, CWD, path, flags) {
        Ok(()) => Ok(placed),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => fs::rename(new, path).map(|()| Placed::Replaced),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn rename_with(new: &Path, path: &Path, _: Placed) -> io::Result<Placed> {
    fs::rename(new, path).map(|()| Placed::Replaced)
}

/// The folder, to be synced later.
pub(crate) fn open_folder(folder: &Path) -> io::Result<Option<File>> {
    File::open(folder).map(Some)
}

/// Syncs a folder, unless its file system does not support that.
pub(crate) fn sync_folder(folder: &File) -> io::Result<()> {
    match folder.sync_all() {
        Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::INVAL | Errno::NOTSUP)) => Ok(()),
        result => result,
    }
}
