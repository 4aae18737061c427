use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read},
    path::Path,
    thread,
    time::Duration,
};

use ksm_storage_core::{
    Absence, ConfigDocument, Error, ErrorKind, NONCE_LEN, Payload, Result, Stored, Version, read_nonce,
    strip_nonce,
};

use crate::{
    error::{failed, foreign_owner, quoted},
    os,
    paths::FilePaths,
    version,
};

const CREATE: &str = "create it first, with `{}` as its content";
/// The largest valid document.
pub(crate) const MAX_PAYLOAD: usize = ConfigDocument::MAX_LEN;
const MAX_FILE: usize = MAX_PAYLOAD + NONCE_LEN;
/// Maximum reads of a file that changes meanwhile, and the pause in between: a write in place takes a short time.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(2);

/// The stored content.
pub(crate) struct Current {
    pub(crate) stored: Stored,
    /// The file, if it exists.
    pub(crate) file: Option<Content>,
}

/// A file's content and metadata.
pub(crate) struct Content {
    pub(crate) bytes: Payload,
    pub(crate) metadata: Metadata,
}

impl Content {
    pub(crate) fn nonce(&self) -> Option<u64> {
        read_nonce(&self.bytes)
    }

    pub(crate) fn version(&self) -> Version {
        version::of_file(&self.bytes, self.nonce(), &self.metadata)
    }
}

/// Reads without a lock, because writers of this crate replace the file atomically. A file that changes while it is
/// read, because a program writes in place, is read again.
pub(crate) fn current(paths: &FilePaths) -> Result<Current> {
    let path = paths.file();
    for _ in 0..ATTEMPTS {
        let mut file = match open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let version = version::of_nothing(fs::symlink_metadata(paths.lock()).ok().as_ref());
                let absence = Absence::new(format!("there is no file {}", quoted(&path))).with_hint(CREATE);
                return Ok(Current { stored: Stored::absent(version, absence), file: None });
            }
            Err(error) => return Err(failed("open", &path, error)),
        };
        let metadata = file.metadata().map_err(|error| failed("inspect", &path, error))?;
        check(&metadata, &path)?;
        if let Some(content) = content(&mut file, metadata).map_err(|error| failed("read", &path, error))? {
            check_len(content.bytes.len() as u64, &path)?;
            let stored = Stored::present(content.version(), strip_nonce(content.bytes.clone()));
            return Ok(Current { stored, file: Some(content) });
        }
        thread::sleep(PAUSE);
    }
    let message = format!("{} kept changing while it was read", quoted(&path));
    Err(Error::not_applied(ErrorKind::Unavailable, message)
        .with_hint("let other programs replace the file by renaming a new one"))
}

/// The content at `path`, without checking permissions.
pub(crate) fn unchecked(path: &Path) -> io::Result<Content> {
    let mut file = open(path)?;
    let metadata = file.metadata()?;
    if metadata.len() > MAX_FILE as u64 {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    content(&mut file, metadata)?.ok_or_else(|| io::ErrorKind::ResourceBusy.into())
}

/// Opens a file of any kind, without following a link or waiting for the other end of a pipe.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    os::without_waiting(options.read(true));
    options.open(path)
}

fn check(metadata: &Metadata, path: &Path) -> Result<()> {
    if !metadata.is_file() {
        let message = format!("{} is not a regular file", quoted(path));
        return Err(Error::not_applied(ErrorKind::InvalidArgument, message)
            .with_hint("set the path of a file, or of a symbolic link to one"));
    }
    if let Some(uid) = os::foreign_owner(metadata) {
        return Err(foreign_owner(path, uid));
    }
    let mode = os::mode(metadata);
    if mode & 0o077 != 0 {
        let path = quoted(path);
        let message = format!("{path} is open to others than its owner: its mode is {mode:04o}");
        return Err(
            Error::not_applied(ErrorKind::AccessDenied, message).with_hint(format!("chmod 600 {path}"))
        );
    }
    check_len(metadata.len(), path)
}

fn check_len(len: u64, path: &Path) -> Result<()> {
    if len <= MAX_FILE as u64 {
        return Ok(());
    }
    let message = format!("{} is larger than {MAX_FILE} bytes", quoted(path));
    Err(Error::not_applied(ErrorKind::InvalidConfig, message)
        .with_hint("check the path: the file is not a configuration"))
}

/// The whole file, or `None` if it changes meanwhile. Being replaced does not count as a change.
fn content(file: &mut File, metadata: Metadata) -> io::Result<Option<Content>> {
    // Some file systems, such as /proc, report no length.
    let len = usize::try_from(metadata.len()).unwrap_or(MAX_FILE);
    let bytes = read(file, if len == 0 { MAX_FILE } else { len })?;
    let after = file.metadata()?;
    let is_unchanged = (bytes.len() == len || len == 0)
        && after.len() == metadata.len()
        && after.modified().ok() == metadata.modified().ok();
    Ok(is_unchanged.then_some(Content { bytes, metadata }))
}

/// Reads at most `len + 1` bytes into a buffer that never moves, so that no copy is left behind in memory.
fn read(file: &mut File, len: usize) -> io::Result<Payload> {
    let mut buffer = Vec::with_capacity(len + 1);
    let result = file.take(len as u64 + 1).read_to_end(&mut buffer);
    // On failure too: the bytes read so far are zeroized.
    let payload = Payload::from(buffer);
    result.map(|_| payload)
}
