//! The stored content and its version.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    hash::{BuildHasher, RandomState},
    io::{self, Read},
    path::Path,
    sync::LazyLock,
    thread,
    time::Duration,
};

use ksm_storage_core::{
    Absence, ConfigDocument, ErrorKind, NONCE_LEN, Payload, Result, Stored, Version, read_nonce, strip_nonce,
};

use crate::{
    error::{failed, quoted, refused},
    os,
    paths::FilePaths,
};

/// The largest valid document.
pub(crate) const MAX_PAYLOAD: usize = ConfigDocument::MAX_LEN;
const MAX_FILE: usize = MAX_PAYLOAD + NONCE_LEN;
/// Maximum reads of a file that changes meanwhile, and the pause in between: a write in place takes a short time.
pub(crate) const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(2);

/// Versions are logged. Keyed per process, their hash reveals nothing about the content, however guessable that is.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A file's content and metadata.
pub(crate) struct Content {
    pub(crate) bytes: Payload,
    pub(crate) metadata: Metadata,
}

impl Content {
    /// The nonce distinguishes writes of this crate. The file's identity, times and content distinguish writes of other
    /// programs, and earlier files that were put back.
    pub(crate) fn version(&self) -> Version {
        let tag = KEY.hash_one((os::identity(&self.metadata), self.bytes.as_bytes()));
        Version::new(match read_nonce(&self.bytes) {
            Some(nonce) => format!("{nonce:016x}-{tag:016x}"),
            None => format!("foreign-{tag:016x}"),
        })
    }
}

/// The stored content, and the file that holds it, if it exists.
pub(crate) struct Current {
    pub(crate) stored: Stored,
    pub(crate) file: Option<Content>,
}

/// Reads without a lock, because writers of this crate replace the file atomically. A file that changes while it is
/// read, because a program writes in place, is read again.
pub(crate) fn current(paths: &FilePaths) -> Result<Current> {
    let path = &paths.file;
    let mut attempts = 1..ATTEMPTS;
    loop {
        let (file, metadata) = match open(path, os::options().read(true)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let hint = format!("create it first: (umask 077; echo '{{}}' > {})", quoted(path));
                let absence = Absence::new(format!("there is no file {}", quoted(path))).with_hint(hint);
                return Ok(Current { stored: Stored::absent(absent(paths), absence), file: None });
            }
            opened => opened.map_err(|error| failed("open", path, error))?,
        };
        check_owner(&metadata, path)?;
        let mode = os::mode(&metadata);
        if mode & 0o077 != 0 {
            let path = quoted(path);
            let problem = format!("{path} is open to others than its owner: its mode is {mode:04o}");
            return Err(refused(ErrorKind::AccessDenied, problem, format!("chmod 600 {path}")));
        }
        match read(file, metadata) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && attempts.next().is_some() => {
                thread::sleep(PAUSE);
            }
            content => {
                let content = content.map_err(|error| failed("read", path, error))?;
                let stored = Stored::present(content.version(), strip_nonce(content.bytes.clone()));
                return Ok(Current { stored, file: Some(content) });
            }
        }
    }
}

/// The content at `path`, whoever may access it.
pub(crate) fn unchecked(path: &Path) -> io::Result<Content> {
    open(path, os::options().read(true)).and_then(|(file, metadata)| read(file, metadata))
}

/// Makes the file at `path` private, if it can.
pub(crate) fn make_private(path: &Path) {
    let _ = open(path, os::options().read(true)).and_then(|(file, _)| os::make_private(&file));
}

/// Opens a regular file, with [`os::options`].
pub(crate) fn open(path: &Path, options: &OpenOptions) -> io::Result<(File, Metadata)> {
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "not a regular file"));
    }
    Ok((file, metadata))
}

/// Accepts only files of this user. Another owner could read whatever is written to them.
pub(crate) fn check_owner(metadata: &Metadata, path: &Path) -> Result<()> {
    let Some(uid) = os::foreign_owner(metadata) else { return Ok(()) };
    let path = quoted(path);
    let problem = format!("{path} belongs to another user (uid {uid})");
    let hint = format!("run the program as that user, or change the owner: chown \"$(id -u)\" {path}");
    Err(refused(ErrorKind::AccessDenied, problem, hint))
}

/// The whole file. Changing while it is read is an error; being replaced is not.
fn read(mut file: File, metadata: Metadata) -> io::Result<Content> {
    // Some file systems, such as /proc, report no length.
    let len =
        usize::try_from(metadata.len()).ok().filter(|len| (1..=MAX_FILE).contains(len)).unwrap_or(MAX_FILE);
    // The buffer never moves, so that no copy is left behind in memory.
    let mut buffer = Vec::with_capacity(len + 1);
    let result = (&mut file).take(len as u64 + 1).read_to_end(&mut buffer);
    // On failure too: the bytes read so far are zeroized.
    let bytes = Payload::from(buffer);
    result?;
    if bytes.len() > MAX_FILE {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it is larger than {MAX_FILE} bytes"),
        ));
    }
    let after = file.metadata()?;
    if ![0, bytes.len() as u64].contains(&metadata.len())
        || after.len() != metadata.len()
        || after.modified().ok() != metadata.modified().ok()
    {
        return Err(io::Error::new(io::ErrorKind::WouldBlock, "it kept changing"));
    }
    Ok(Content { bytes, metadata })
}

/// The version that stands for an absent file. An empty lock file is equivalent to none: the first writer creates it.
fn absent(paths: &FilePaths) -> Version {
    let lock = fs::symlink_metadata(paths.lock()).ok().filter(|lock| lock.len() > 0);
    Version::new(format!("absent-{:016x}", KEY.hash_one(lock.as_ref().map(os::identity))))
}

#[cfg(test)]
mod tests {
    use ksm_storage_core::append_nonce;

    use super::*;

    #[test]
    fn change_while_reading_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ksm.json");
        for changed in ["older", "o", "odd", ""] {
            fs::write(&path, "old").unwrap();
            let (file, metadata) = open(&path, os::options().read(true)).unwrap();
            fs::write(&path, changed).unwrap();
            // The same length is noticed by the time.
            let other = File::options().write(true).open(&path).unwrap();
            other.set_modified(metadata.modified().unwrap() + PAUSE).unwrap();
            let error = read(file, metadata).err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{changed:?}");
        }
    }

    /// Simulates a write in place within one tick of the file system's clock.
    #[test]
    fn other_content_has_another_version() {
        let metadata = fs::metadata(env!("CARGO_MANIFEST_DIR")).unwrap();
        let version = |bytes: Payload| Content { bytes, metadata: metadata.clone() }.version();
        for framed in [|text: &str| text.into(), |text: &str| append_nonce(&text.into(), 7)] {
            let [one, other] = ["one", "two"].map(|content| version(framed(content)));
            assert_ne!(one, other);
            assert_eq!(one, version(framed("one")));
        }
    }
}
