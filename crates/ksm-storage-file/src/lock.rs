//! The lock file for writers. It is never deleted or read. Each creation of the configuration extends it by a byte, so
//! that each absence of the configuration has its own version.

use std::{
    fs::{self, File, TryLockError},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use ksm_storage_core::{ErrorKind, Result};

use crate::{
    error::{failed, quoted, refused},
    failpoint::{Failpoint, reached},
    os,
    paths::FilePaths,
    read,
};

/// The time that a writer waits. Others hold the lock for the duration of two syncs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(1);

/// The lock, held until it is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Waits for the lock, for a limited time and only while the result is awaited.
    pub(crate) fn acquire(paths: &FilePaths, is_awaited: &dyn Fn() -> bool) -> Result<Self> {
        Self::acquire_within(PATIENCE, paths, is_awaited)
    }

    pub(crate) fn acquire_within(
        patience: Duration,
        paths: &FilePaths,
        is_awaited: &dyn Fn() -> bool,
    ) -> Result<Self> {
        let start = Instant::now();
        loop {
            let lock = Self::open(paths.lock())?;
            reached(Failpoint::LockOpened);
            match lock.file.try_lock() {
                Ok(()) if lock.is_current() => {
                    os::make_private(&lock.file)
                        .map_err(|error| failed("set the mode of", &lock.path, error))?;
                    return Ok(lock);
                }
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(failed("lock", &lock.path, error)),
            }
            if start.elapsed() >= patience || !is_awaited() {
                let path = quoted(&lock.path);
                let problem = format!("another process held the lock {path} for {patience:?}");
                let hint = format!("check whether that process hangs: fuser -v {path}");
                return Err(refused(ErrorKind::Timeout, problem, hint));
            }
            thread::sleep(PAUSE);
        }
    }

    /// Accepts only this user's own file, under one name, because the file is extended.
    fn open(path: PathBuf) -> Result<Self> {
        let (file, metadata) =
            read::open(&path, os::options().read(true).write(true).create(true).truncate(false))
                .map_err(|error| failed("open the lock file", &path, error))?;
        read::check_owner(&metadata, &path)?;
        if os::links(&metadata) > 1 {
            let problem = format!("the lock file {} is a hard link to another file", quoted(&path));
            return Err(refused(ErrorKind::InvalidArgument, problem, "move it away"));
        }
        Ok(Self { file, path })
    }

    /// Returns true unless the lock file was deleted or replaced, in which case another writer may have locked a new
    /// one.
    pub(crate) fn is_current(&self) -> bool {
        match (self.file.metadata(), fs::symlink_metadata(&self.path)) {
            (Ok(locked), Ok(found)) => os::identity(&locked) == os::identity(&found),
            _ => false,
        }
    }

    #[cfg(test)]
    pub(crate) fn duplicate(&self) -> File {
        self.file.try_clone().unwrap()
    }

    /// Makes the next absence of the configuration differ from the one that is about to end.
    pub(crate) fn record_creation(&self) -> Result<()> {
        self.file
            .metadata()
            .and_then(|metadata| self.file.set_len(metadata.len() + 1))
            .map_err(|error| failed("extend", &self.path, error))
    }
}

impl Drop for Lock {
    /// Closing the file is not enough: a process forked meanwhile has it open too.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}
