//! The single place for errors. They must contain no byte of a payload.

use std::{borrow::Cow, io, path::Path};

use ksm_storage_core::{Error, ErrorKind, shell_word};

use crate::os;

/// An error before anything was changed, and its remedy.
pub(crate) fn refused(kind: ErrorKind, problem: String, hint: impl Into<Cow<'static, str>>) -> Error {
    Error::not_applied(kind, problem).with_hint(hint)
}

/// The system's error for `action` on `path`, before anything was changed.
pub(crate) fn failed(action: &str, path: &Path, error: io::Error) -> Error {
    use io::ErrorKind as Io;
    let (kind, hint) = os::classify(&error).unwrap_or(match error.kind() {
        Io::NotFound => (ErrorKind::NotFound, "check that the folder exists and accepts files"),
        Io::PermissionDenied => {
            (ErrorKind::AccessDenied, "check owner, mode and attributes of the file and its folders")
        }
        Io::ReadOnlyFilesystem => {
            (ErrorKind::ReadOnly, "the file system is mounted read-only; open the storage read-only")
        }
        Io::ResourceBusy => (
            ErrorKind::InvalidArgument,
            "the file is a mount point, which cannot be replaced; mount its folder instead",
        ),
        Io::IsADirectory => {
            (ErrorKind::InvalidArgument, "set the path of a file, not of a folder, device or pipe")
        }
        Io::InvalidData => (ErrorKind::InvalidConfig, "check the path: the file is not a configuration"),
        Io::WouldBlock => {
            (ErrorKind::Unavailable, "let other programs replace the file by renaming a new one")
        }
        Io::InvalidFilename => {
            (ErrorKind::InvalidArgument, "shorten the path; a write appends 27 bytes to the file name")
        }
        Io::InvalidInput | Io::NotADirectory => (ErrorKind::InvalidArgument, "correct the path"),
        Io::StorageFull | Io::QuotaExceeded => {
            (ErrorKind::QuotaExceeded, "free space or inodes on the file system (df, df -i, quota)")
        }
        Io::FileTooLarge => (ErrorKind::QuotaExceeded, "raise the limit of file sizes (ulimit -f)"),
        Io::Unsupported => (ErrorKind::Unsupported, "move the file to a local file system"),
        _ => (ErrorKind::Unavailable, "check the file system (dmesg)"),
    });
    refused(kind, format!("cannot {action} {}: {error}", quoted(path)), hint).with_source(error)
}

/// `path` on one line, and as one word of a shell command.
pub(crate) fn quoted(path: &Path) -> String {
    if let Some(text) = path.to_str() {
        return shell_word(text);
    }
    let escape = |byte: &u8| match byte {
        b'/' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => char::from(*byte).to_string(),
        byte => format!("\\{byte:03o}"),
    };
    format!("$'{}'", path.as_os_str().as_encoded_bytes().iter().map(escape).collect::<String>())
}
