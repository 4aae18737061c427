use std::{
    fs::{File, Metadata, OpenOptions},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read},
    path::Path,
    thread,
    time::Duration,
};

use ksm_storage_core::{
    Absence, ConfigDocument, Error, ErrorKind, NONCE_LEN, Payload, Result, Stored, read_nonce, strip_nonce,
};

use crate::{
    error::{failed, quoted},
    lock, os,
    place::Place,
    version,
};

const CREATE: &str = "store `{}` there first, or open with open_or_create";
/// The largest document there is.
pub(crate) const MAX_PAYLOAD: usize = ConfigDocument::MAX_LEN;
const MAX_FILE: usize = MAX_PAYLOAD + NONCE_LEN;
/// Maximum reads of a file that changes meanwhile, and the pause between: a write in place is soon done.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(2);

/// The content of a place.
pub(crate) struct Current {
    pub(crate) stored: Stored,
    /// The file, if there is one.
    pub(crate) file: Option<Content>,
}

/// A file as it was read.
pub(crate) struct Content {
    pub(crate) bytes: Payload,
    pub(crate) metadata: Metadata,
}

impl Content {
    pub(crate) fn stored(&self) -> Stored {
        let version = version::of_file(&self.bytes, read_nonce(&self.bytes), &self.metadata);
        Stored::present(version, strip_nonce(self.bytes.clone()))
    }

    /// By this another process knows the content again.
    pub(crate) fn digest(&self) -> u64 {
        // Of one release of Rust: by another the content is taken for an unknown one, which loses nothing.
        let mut hasher = DefaultHasher::new();
        self.bytes.as_bytes().hash(&mut hasher);
        hasher.finish()
    }
}

/// Reads what stands there, without a lock: it is replaced in one step. What a program writes in place, and changes while
/// it is read, is read again.
pub(crate) fn current(place: &Place) -> Result<Current> {
    let path = place.file();
    for _ in 0..ATTEMPTS {
        let mut file = match open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let version = version::of_nothing(lock::last_writer(place)?.map(|writer| writer.nonce));
                let absence = Absence::new(format!("there is no file {}", path.display())).with_hint(CREATE);
                return Ok(Current { stored: Stored::absent(version, absence), file: None });
            }
            Err(error) => return Err(failed("open", &path, error)),
        };
        let metadata = file.metadata().map_err(|error| failed("look at", &path, error))?;
        accept(&metadata, &path)?;
        if let Some(content) = content(&mut file, metadata).map_err(|error| failed("read", &path, error))? {
            return Ok(Current { stored: content.stored(), file: Some(content) });
        }
        thread::sleep(PAUSE);
    }
    let message = format!("{} kept changing while it was read", path.display());
    Err(Error::not_applied(ErrorKind::Unavailable, message))
}

/// The content at `path`, whoever may read it.
pub(crate) fn unchecked(path: &Path) -> io::Result<Content> {
    let mut file = open(path)?;
    let metadata = file.metadata()?;
    content(&mut file, metadata)?.ok_or_else(|| io::ErrorKind::ResourceBusy.into())
}

/// A file of any kind, without following a link or waiting for the other end of a pipe.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    os::without_waiting(options.read(true));
    options.open(path)
}

fn accept(metadata: &Metadata, path: &Path) -> Result<()> {
    let shown = path.display();
    if !metadata.is_file() {
        return Err(Error::not_applied(ErrorKind::InvalidArgument, format!("{shown} is no regular file"))
            .with_hint("name a file, or a link to one"));
    }
    let mode = os::mode(metadata);
    if mode & 0o077 != 0 {
        let message = format!("{shown} is open to others than its owner: its mode is {mode:04o}");
        return Err(Error::not_applied(ErrorKind::AccessDenied, message)
            .with_hint(format!("chmod 600 {}", quoted(path))));
    }
    if metadata.len() > MAX_FILE as u64 {
        return Err(Error::not_applied(
            ErrorKind::InvalidConfig,
            format!("{shown} is larger than {MAX_FILE} bytes"),
        )
        .with_hint("look at the file: it is no configuration"));
    }
    Ok(())
}

/// All of the file, if it does not change meanwhile. Being replaced is no change of it.
fn content(file: &mut File, metadata: Metadata) -> io::Result<Option<Content>> {
    let bytes = read(file, &metadata)?;
    let after = file.metadata()?;
    let unchanged = bytes.len() as u64 == metadata.len()
        && after.len() == metadata.len()
        && after.modified().ok() == metadata.modified().ok();
    Ok(unchanged.then_some(Content { bytes, metadata }))
}

/// As many bytes as `metadata` says, into a buffer that never moves: no copy of it is left behind in memory.
fn read(file: &mut File, metadata: &Metadata) -> io::Result<Payload> {
    let len = usize::try_from(metadata.len()).ok().filter(|len| *len <= MAX_FILE);
    let len = len.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
    // One more, so that a file that has grown is found out.
    let mut buffer = vec![0; len + 1];
    let mut filled = 0;
    let result = loop {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break Ok(()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    buffer.truncate(filled);
    // Also on failure: what was read is zeroized.
    let payload = Payload::from(buffer);
    result.map(|()| payload)
}
