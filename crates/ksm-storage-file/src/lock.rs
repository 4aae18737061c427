//! The lock file for writers. It is never deleted or read. Each creation of the configuration extends it by a byte, so
//! that each absence of the configuration has its own version.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use ksm_storage_core::{Error, ErrorKind, Result};

use crate::{
    error::{failed, foreign_owner, quoted},
    failpoint::{Failpoint, reached},
    os,
    paths::FilePaths,
};

/// The time that a writer waits. Others hold the lock for the duration of two syncs.
const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(16);

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
        let path = paths.lock();
        let start = Instant::now();
        let mut pause = Duration::from_micros(500);
        loop {
            let mut options = OpenOptions::new();
            os::private(options.read(true).write(true).create(true).truncate(false));
            os::without_waiting(&mut options);
            let file = options.open(&path).map_err(|error| failed("open the lock file", &path, error))?;
            check(&file, &path)?;
            reached(Failpoint::LockOpened);
            match file.try_lock() {
                Ok(()) => {
                    let lock = Self { file, path: path.clone() };
                    if lock.is_current() {
                        os::make_private(&lock.file)
                            .map_err(|error| failed("set the mode of", &path, error))?;
                        return Ok(lock);
                    }
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(failed("lock", &path, error)),
            }
            if start.elapsed() >= patience || !is_awaited() {
                let path = quoted(&path);
                let message = format!("another process held the lock {path} for {patience:?}");
                return Err(Error::not_applied(ErrorKind::Timeout, message)
                    .with_hint(format!("check whether that process hangs: fuser -v {path}")));
            }
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Returns true unless the lock file was deleted or replaced, in which case another writer may have locked a new
    /// one.
    pub(crate) fn is_current(&self) -> bool {
        match (self.file.metadata(), fs::symlink_metadata(&self.path)) {
            (Ok(locked), Ok(found)) => os::same_file(&locked, &found),
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

/// Accepts only this user's own lock file, because the file is extended.
fn check(file: &File, path: &Path) -> Result<()> {
    let metadata = file.metadata().map_err(|error| failed("inspect", path, error))?;
    if !metadata.is_file() {
        return Err(unusable(path, "is not a regular file"));
    }
    if os::links(&metadata) > 1 {
        return Err(unusable(path, "is a hard link to another file"));
    }
    match os::foreign_owner(&metadata) {
        Some(uid) => Err(foreign_owner(path, uid)),
        None => Ok(()),
    }
}

fn unusable(path: &Path, problem: &str) -> Error {
    let path = quoted(path);
    Error::not_applied(ErrorKind::InvalidArgument, format!("the lock file {path} {problem}"))
        .with_hint(format!("inspect it, and move it away: ls -l {path}"))
}
