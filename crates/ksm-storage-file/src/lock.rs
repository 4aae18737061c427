//! The file that writers lock. It is never deleted, and holds the nonce of the last writer that created the configuration:
//! by it one absence of the configuration differs from another.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use ksm_storage_core::{Error, ErrorKind, Result};

use crate::{
    error::{failed, foreign_owner, quoted},
    os,
    paths::FilePaths,
};

/// The time that a writer waits. Others hold the lock for as long as two syncs take.
const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(16);
/// Sixteen digits and a newline.
const NONCE_LINE: usize = 17;

/// The lock, held until this is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Waits for the lock, but not for long, and no longer than the result is awaited.
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
            let file =
                open(&path, &mut options).map_err(|error| failed("open the lock file", &path, error))?;
            check(&file, &path)?;
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

    /// Returns true unless the lock file was deleted or replaced, so that another writer may have locked another one.
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

    /// Records the writer that is about to create the configuration.
    pub(crate) fn record_creation(&mut self, nonce: u64) -> Result<()> {
        self.file
            .rewind()
            .and_then(|()| self.file.write_all(format!("{nonce:016x}\n").as_bytes()))
            .map_err(|error| failed("write", &self.path, error))
    }
}

impl Drop for Lock {
    /// Closing the file would not do: a process that was forked meanwhile has it open too.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// The nonce of the last writer that created the configuration, for somebody who need not hold the lock.
pub(crate) fn last_creation(paths: &FilePaths) -> Result<Option<u64>> {
    let path = paths.lock();
    let mut file = match open(&path, OpenOptions::new().read(true)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open the lock file", &path, error)),
    };
    check(&file, &path)?;
    let mut line = Vec::with_capacity(NONCE_LINE + 1);
    (&mut file)
        .take(NONCE_LINE as u64 + 1)
        .read_to_end(&mut line)
        .map_err(|error| failed("read", &path, error))?;
    if line.is_empty() {
        return Ok(None);
    }
    let digits = str::from_utf8(&line).ok().and_then(|line| line.strip_suffix('\n'));
    let nonce = digits.filter(|_| line.len() == NONCE_LINE);
    match nonce.and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
        Some(nonce) => Ok(Some(nonce)),
        None => Err(unusable(&path, "has the content of another program")),
    }
}

fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    os::without_waiting(options);
    options.open(path)
}

/// Refuses what is not this user's own lock file, for it may be written.
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
        .with_hint(format!("look at it, and move it away: ls -l {path}"))
}
