use std::{
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
};

use ksm_storage_core::{Error, ErrorKind, Result};

use crate::error::{failed, quoted};

/// Where the file is, with all links followed, and the files that may stand beside it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    name: OsString,
}

impl Place {
    /// The place that `path` leads to. The file itself need not exist; its folder must.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let error = match fs::canonicalize(path) {
            Ok(file) => return Self::split(file.parent(), file.file_name(), path),
            Err(error) => error,
        };
        if error.kind() != io::ErrorKind::NotFound {
            return Err(failed("find", path, error));
        }
        if fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
            return Err(Error::not_applied(
                ErrorKind::NotFound,
                format!("{} is a link that leads nowhere", path.display()),
            )
            .with_hint("correct or remove the link"));
        }
        let Some(folder) = path.parent() else { return Self::split(None, None, path) };
        let folder = fs::canonicalize(folder).map_err(|error| {
            let missing = error.kind() == io::ErrorKind::NotFound;
            let told = failed("find", folder, error);
            if missing { told.with_hint(format!("mkdir -m 700 {}", quoted(folder))) } else { told }
        })?;
        Self::split(Some(&folder), path.file_name(), path)
    }

    fn split(folder: Option<&Path>, name: Option<&OsStr>, path: &Path) -> Result<Self> {
        match (folder, name) {
            (Some(folder), Some(name)) => Ok(Self { folder: folder.to_owned(), name: name.to_owned() }),
            _ => Err(Error::not_applied(
                ErrorKind::InvalidArgument,
                format!("{:?} names no file", path.display()),
            )),
        }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.sibling("", ".lock")
    }

    /// The file that the writer with this nonce writes to.
    pub(crate) fn temporary(&self, nonce: u64) -> PathBuf {
        self.sibling(".", &format!(".{nonce:016x}.tmp"))
    }

    /// Where the writer with this nonce keeps what it displaced.
    pub(crate) fn displaced(&self, nonce: u64) -> PathBuf {
        self.sibling("", &format!(".displaced-{nonce:016x}"))
    }

    fn sibling(&self, before: &str, after: &str) -> PathBuf {
        let mut name = OsString::from(before);
        name.push(&self.name);
        name.push(after);
        self.folder.join(name)
    }
}
