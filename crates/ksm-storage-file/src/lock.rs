//! The file that writers lock. It is never deleted, and names the last writer that began to write: by it the next one
//! finds what a killed one left behind, and one absence of the file is told from another.

use std::{
    fs::{File, Metadata, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use ksm_storage_core::{Error, ErrorKind, Result};

use crate::{error::failed, os, place::Place};

/// The time that a writer waits. Others hold the lock for as long as two syncs take.
const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(16);
/// With some two hundred nonces in it.
const MAX_LINE: u64 = 4096;

/// A writer that began to write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Writer {
    pub(crate) nonce: u64,
    /// The digest of the content that it is about to replace; 0 for none, and until its own is complete.
    pub(crate) replaces: u64,
    /// The nonces of writers, also this one, that displaced something and have not told so.
    pub(crate) untold: Vec<u64>,
}

impl Writer {
    fn parse(line: &str) -> Option<Self> {
        let mut numbers = line.lines().next()?.split(' ').map(|digits| u64::from_str_radix(digits, 16).ok());
        let (nonce, replaces) = (numbers.next()??, numbers.next()??);
        Some(Self { nonce, replaces, untold: numbers.flatten().collect() })
    }
}

/// The lock, held until this is dropped or the process ends.
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Waits for the lock, for a while.
    pub(crate) fn acquire(place: &Place) -> Result<Self> {
        Self::acquire_within(PATIENCE, place)
    }

    pub(crate) fn acquire_within(patience: Duration, place: &Place) -> Result<Self> {
        let path = place.lock();
        let start = Instant::now();
        let mut pause = Duration::from_micros(500);
        loop {
            let mut options = OpenOptions::new();
            os::without_waiting(options.read(true).write(true).create(true).truncate(false));
            os::private(&mut options);
            let file = options.open(&path).map_err(|error| failed("open the lock file", &path, error))?;
            match file.try_lock() {
                Ok(()) => return Ok(Self { file, path }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(failed("lock", &path, error)),
            }
            if start.elapsed() >= patience {
                let message = format!("another process has held {} for {patience:?}", path.display());
                return Err(Error::not_applied(ErrorKind::Timeout, message)
                    .with_hint("find out which one (fuser, lsof), and whether it hangs"));
            }
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Gives the lock file to the owner of the configuration, who must be able to lock it when root has made it. Where
    /// that cannot be done, this write is none the worse. A file with another name besides is not given away.
    pub(crate) fn keep_owner(&self, configuration: &Metadata) {
        if self.file.metadata().is_ok_and(|metadata| os::links(&metadata) == 1) {
            let _ = os::keep_owner(configuration, &self.file);
        }
    }

    /// The writer before this one, if there was one.
    pub(crate) fn last_writer(&mut self) -> Result<Option<Writer>> {
        writer(&mut self.file).map_err(|error| failed("read", &self.path, error))
    }

    /// Names the writer that begins to write. What follows the line, of a longer one before it, does not count.
    pub(crate) fn begin(&mut self, writer: &Writer) -> Result<()> {
        let mut line = format!("{:016x} {:016x}", writer.nonce, writer.replaces);
        line.extend(writer.untold.iter().map(|nonce| format!(" {nonce:016x}")));
        line.push('\n');
        self.file
            .rewind()
            .and_then(|()| self.file.write_all(line.as_bytes()))
            .map_err(|error| failed("write", &self.path, error))
    }
}

/// The last writer, for somebody who does not hold the lock. Nothing is created.
pub(crate) fn last_writer(place: &Place) -> Result<Option<Writer>> {
    let path = place.lock();
    let mut options = OpenOptions::new();
    os::without_waiting(options.read(true));
    match options.open(&path).and_then(|mut file| writer(&mut file)) {
        Ok(last) => Ok(last),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", &path, error)),
    }
}

fn writer(file: &mut File) -> io::Result<Option<Writer>> {
    let mut line = Vec::new();
    file.rewind()?;
    file.take(MAX_LINE).read_to_end(&mut line)?;
    Ok(std::str::from_utf8(&line).ok().and_then(Writer::parse))
}
