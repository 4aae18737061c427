//! Files named by settings, which may be special, huge, or on a file system that no longer answers.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read},
    path::Path,
    time::Duration,
};

use tokio::time::timeout;

use crate::thread::in_thread;

/// The largest file that is read, in bytes.
pub(crate) const MAX_LEN: u64 = 1 << 20;
/// Time limit of reading a configuration file, within most deadlines.
pub(crate) const LIMIT: Duration = Duration::from_secs(5);

/// The reason why a file is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// A file of another type than a regular one.
    Special(&'static str),
    TooLong,
    /// It was not read to its end within this time.
    Slow(Duration),
    Failed(io::ErrorKind),
}

impl Unreadable {
    pub(crate) const fn is_missing(&self) -> bool {
        matches!(self, Self::Failed(io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Special(kind) => write!(f, "it is {kind}"),
            Self::TooLong => write!(f, "it has more than {MAX_LEN} bytes"),
            Self::Slow(limit) => write!(f, "it was not read to its end within {limit:?}"),
            Self::Failed(kind) => kind.fmt(f),
        }
    }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.kind())
    }
}

/// Checks type and size without opening the file. The file may be missing, or a pipe from another command.
pub(crate) fn check_type(path: &Path) -> Result<(), Unreadable> {
    let Ok(metadata) = fs::metadata(path) else { return Ok(()) };
    if metadata.is_dir() {
        return Err(Unreadable::Special("a directory"));
    }
    if metadata.len() > MAX_LEN {
        return Err(Unreadable::TooLong);
    }
    match special(path, &metadata) {
        Some(kind) if path != Path::new("/dev/null") => Err(Unreadable::Special(kind)),
        _ => Ok(()),
    }
}

/// The type of a file that might never be read to its end. A pipe with a name is opened only once somebody writes to it;
/// one from a shell's `<(command)` has no name.
#[cfg(unix)]
fn special(path: &Path, metadata: &fs::Metadata) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    if kind.is_char_device() || kind.is_block_device() {
        return Some("a device");
    }
    if kind.is_socket() {
        return Some("a socket");
    }
    (kind.is_fifo() && path.canonicalize().is_ok()).then_some("a named pipe")
}

#[cfg(not(unix))]
fn special(_: &Path, _: &fs::Metadata) -> Option<&'static str> {
    None
}

/// The contents of a configuration file, if it ends in time: within this limit of the call, and five seconds.
pub(crate) async fn read(path: &Path, limit: Duration) -> Result<Vec<u8>, Unreadable> {
    let read = |file: File| {
        let mut bytes = Vec::new();
        file.take(MAX_LEN + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = open(path, limit.min(LIMIT), read).await?;
    if bytes.len() as u64 > MAX_LEN { Err(Unreadable::TooLong) } else { Ok(bytes) }
}

/// Checks that a file can be read to its end, for the SDK, which then reads it on the thread of the call. A pipe is
/// not read, because its contents can be read only once.
pub(crate) async fn check(path: &Path, limit: Duration) -> Result<(), Unreadable> {
    let read = |file: File| {
        if await_writers(&file)? {
            return Ok(0);
        }
        io::copy(&mut file.take(MAX_LEN + 1), &mut io::sink())
    };
    let len = open(path, limit, read).await?;
    if len > MAX_LEN { Err(Unreadable::TooLong) } else { Ok(()) }
}

/// Returns true for a pipe, once nobody has it open for writing.
#[cfg(unix)]
fn await_writers(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::FileTypeExt;

    use rustix::event::{PollFd, PollFlags, poll};
    let is_pipe = file.metadata()?.file_type().is_fifo();
    if is_pipe {
        // The end of the last writer is always reported.
        poll(&mut [PollFd::new(file, PollFlags::empty())], None)?;
    }
    Ok(is_pipe)
}

#[cfg(not(unix))]
fn await_writers(_: &File) -> io::Result<bool> {
    Ok(false)
}

/// Opens and reads a file in a thread of its own, which is given up at the limit.
async fn open<T: Send + 'static>(
    path: &Path,
    limit: Duration,
    read: impl FnOnce(File) -> io::Result<T> + Send + 'static,
) -> Result<T, Unreadable> {
    let path = path.to_owned();
    let work = move || check_type(&path).and_then(|()| Ok(read(File::open(&path)?)?));
    timeout(limit, in_thread(work)).await.map_err(|_| Unreadable::Slow(limit))??
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{io::Write, os::fd::AsRawFd, process::Command, thread};

    use super::*;

    #[tokio::test]
    async fn only_unnamed_pipes_are_read() {
        let (reader, mut writer) = io::pipe().unwrap();
        let unnamed = format!("/proc/self/fd/{}", reader.as_raw_fd());
        let unnamed = Path::new(&unnamed);
        let (idle, _open) = io::pipe().unwrap();
        let silent = format!("/proc/self/fd/{}", idle.as_raw_fd());
        assert_eq!(check_type(unnamed), Ok(()));
        writer.write_all(b"text").unwrap();
        // The writer may have more to say.
        let short = Duration::from_millis(50);
        assert_eq!(check(unnamed, short).await, Err(Unreadable::Slow(short)));
        assert_eq!(read(Path::new(&silent), short).await, Err(Unreadable::Slow(short)));
        drop(writer);
        assert_eq!(check(unnamed, LIMIT).await, Ok(()));
        assert_eq!(read(unnamed, LIMIT).await.unwrap(), b"text");
        let folder = tempfile::tempdir().unwrap();
        let named = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&named).status().unwrap().success());
        for (path, kind) in
            [(&*named, "a named pipe"), (Path::new("/dev/zero"), "a device"), (folder.path(), "a directory")]
        {
            assert_eq!(check_type(path), Err(Unreadable::Special(kind)));
            assert_eq!(check(path, LIMIT).await, Err(Unreadable::Special(kind)));
            assert_eq!(read(path, LIMIT).await, Err(Unreadable::Special(kind)));
        }
        assert_eq!(read(Path::new("/dev/null"), LIMIT).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn sizes_are_bounded() {
        let (reader, mut writer) = io::pipe().unwrap();
        let endless = format!("/proc/self/fd/{}", reader.as_raw_fd());
        // Fails once the reader is closed.
        thread::spawn(move || while writer.write_all(&[b'a'; 1 << 12]).is_ok() {});
        assert_eq!(read(Path::new(&endless), LIMIT).await, Err(Unreadable::TooLong));
        let huge = tempfile::NamedTempFile::new().unwrap();
        huge.as_file().set_len(MAX_LEN).unwrap();
        assert_eq!(check(huge.path(), LIMIT).await, Ok(()));
        huge.as_file().set_len(MAX_LEN + 1).unwrap();
        assert_eq!(check(huge.path(), LIMIT).await, Err(Unreadable::TooLong));
        // Their sizes are reported as 0.
        assert!(check(Path::new("/proc/self/pagemap"), LIMIT).await.is_err());
        assert!(check(Path::new("/proc/self/mem"), LIMIT).await.is_err());
        assert!(check(Path::new("/no/such/file"), LIMIT).await.unwrap_err().is_missing());
    }
}
