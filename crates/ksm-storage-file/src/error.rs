//! One mapping from what a call came to, to what the caller is told. Nothing here may hold a byte of a payload.

use std::{io, path::Path};

use ksm_storage_core::{Error, ErrorKind, shell_word};

/// The system's error when asked to do `doing` with `path`, before anything was changed.
pub(crate) fn failed(doing: &str, path: &Path, error: io::Error) -> Error {
    let path = path.display();
    let (kind, hint) = match error.kind() {
        io::ErrorKind::NotFound => (ErrorKind::NotFound, None),
        io::ErrorKind::PermissionDenied => {
            (ErrorKind::AccessDenied, Some("look at owner and permissions of the file and its folders"))
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            (ErrorKind::ReadOnly, Some("the file system is mounted read-only; open the storage read-only"))
        }
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename | io::ErrorKind::NotADirectory => {
            (ErrorKind::InvalidArgument, Some("correct the path"))
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (ErrorKind::Unavailable, Some("make room on the file system"))
        }
        _ => (ErrorKind::Unavailable, None),
    };
    let told = Error::not_applied(kind, format!("cannot {doing} {path}: {error}")).with_source(error);
    match hint {
        Some(hint) => told.with_hint(hint),
        None => told,
    }
}

/// `path` as one word of a shell command.
pub(crate) fn quoted(path: &Path) -> String {
    shell_word(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use ksm_storage_core::Outcome;

    use super::*;

    #[test]
    fn what_the_system_says_has_its_kind_and_remedy() {
        use io::ErrorKind as Io;
        for (io, kind, remedy) in [
            (Io::NotFound, ErrorKind::NotFound, ""),
            (Io::PermissionDenied, ErrorKind::AccessDenied, "look at owner and permissions"),
            (Io::ReadOnlyFilesystem, ErrorKind::ReadOnly, "mounted read-only"),
            (Io::NotADirectory, ErrorKind::InvalidArgument, "correct the path"),
            (Io::InvalidInput, ErrorKind::InvalidArgument, "correct the path"),
            (Io::StorageFull, ErrorKind::Unavailable, "make room"),
            (Io::QuotaExceeded, ErrorKind::Unavailable, "make room"),
            (Io::Other, ErrorKind::Unavailable, ""),
        ] {
            let error = failed("write", Path::new("/a/b"), io.into());
            assert_eq!((error.kind(), error.outcome()), (kind, Outcome::NotApplied), "{io}");
            let text = error.to_string();
            assert!(text.contains("cannot write /a/b: ") && text.contains(remedy), "{text}");
        }
    }
}
