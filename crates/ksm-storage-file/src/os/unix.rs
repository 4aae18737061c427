use std::{
    fs::{self, File, Metadata, OpenOptions, Permissions},
    hash::Hash,
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use ksm_storage_core::ErrorKind;
use rustix::{fs::OFlags, io::Errno, process::geteuid};

use super::Placed;

const PRIVATE: u32 = 0o600;

/// Options that follow no link, do not wait for the other end of a pipe, and create private files.
pub(crate) fn options() -> OpenOptions {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.mode(PRIVATE).custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
    options
}

/// Sets the mode that [`options`] ask for, regardless of the umask.
pub(crate) fn make_private(file: &File) -> io::Result<()> {
    if mode(&file.metadata()?) == PRIVATE {
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

/// The identity of a file, which also changes when it is written, linked or renamed.
pub(crate) fn identity(metadata: &Metadata) -> impl Hash + PartialEq {
    let times = [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()];
    (metadata.dev(), metadata.ino(), metadata.len(), times)
}

/// Kind and remedy of an error without a specific [`io::ErrorKind`].
pub(crate) fn classify(error: &io::Error) -> Option<(ErrorKind, &'static str)> {
    match Errno::from_io_error(error)? {
        Errno::LOOP => Some((ErrorKind::InvalidArgument, "remove the symbolic link")),
        // EIO and EAGAIN come from files of /proc, too, and no retry helps with a broken disk.
        Errno::NXIO | Errno::AGAIN => Some((ErrorKind::InvalidArgument, "set the path of a regular file")),
        Errno::MFILE | Errno::NFILE => {
            Some((ErrorKind::Unavailable, "raise the limit of open files (ulimit -n)"))
        }
        Errno::IO => {
            Some((ErrorKind::Unexpected, "set the path of a regular file, and check the file system (dmesg)"))
        }
        Errno::NOLCK => Some((ErrorKind::Unsupported, "move the file to a file system with locks")),
        _ => None,
    }
}

/// Exchanges `new` with the file at `path`, or moves it there if none exists. Where the file system supports neither,
/// it replaces whatever is there.
pub(crate) fn place(new: &Path, path: &Path, how: Placed) -> io::Result<Placed> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};

        let flags = if how == Placed::Exchanged { RenameFlags::EXCHANGE } else { RenameFlags::NOREPLACE };
        #[cfg(test)]
        let flags = if crate::failpoint::lacks_exchange() { flags.complement() } else { flags };
        match renameat_with(CWD, new, CWD, path, flags) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            result => return Ok(result.map(|()| how)?),
        }
    }
    fs::rename(new, path).map(|()| Placed::Replaced)
}

/// Opens a folder. The returned function syncs it, unless its file system does not support that.
pub(crate) fn folder_sync(folder: &Path) -> io::Result<impl FnOnce() -> io::Result<()>> {
    let folder = File::open(folder)?;
    Ok(move || match folder.sync_all() {
        Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::INVAL | Errno::NOTSUP)) => Ok(()),
        result => result,
    })
}
