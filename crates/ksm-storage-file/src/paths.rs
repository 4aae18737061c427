use std::{
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
};

use ksm_storage_core::{Error, ErrorKind, Result};

use crate::error::{failed, quoted};

/// Both have nine letters, so that where one name is short enough the other is too.
const TEMPORARY: &str = "temporary";
const DISPLACED: &str = "displaced";
/// The maximum number of leftovers that are listed.
const MAX_LEFTOVERS: usize = 64;

/// The file, with all links followed, and the files that may be beside it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FilePaths {
    pub(crate) folder: PathBuf,
    name: OsString,
}

impl FilePaths {
    /// Follows the links of `path`. The file itself need not exist; its folder must.
    pub(crate) fn resolve(path: &Path) -> Result<Self> {
        if !path.is_absolute() {
            return Err(Error::not_applied(
                ErrorKind::InvalidArgument,
                format!("the path {} is empty, or relative to a folder that is gone", quoted(path)),
            )
            .with_hint("set an absolute path"));
        }
        let error = match fs::canonicalize(path) {
            Ok(file) => return Self::split(file.parent(), file.file_name(), path),
            Err(error) => error,
        };
        if error.kind() != io::ErrorKind::NotFound {
            return Err(failed("find", path, error));
        }
        if fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
            let message = format!("{} is a symbolic link to a missing file", quoted(path));
            return Err(
                Error::not_applied(ErrorKind::NotFound, message).with_hint("correct or remove the link")
            );
        }
        let Some(folder) = path.parent() else { return Self::split(None, None, path) };
        let folder = fs::canonicalize(folder).map_err(|error| {
            let is_missing = error.kind() == io::ErrorKind::NotFound;
            let error = failed("find", folder, error);
            if is_missing { error.with_hint(format!("mkdir -m 700 {}", quoted(folder))) } else { error }
        })?;
        Self::split(Some(&folder), path.file_name(), path)
    }

    fn split(folder: Option<&Path>, name: Option<&OsStr>, path: &Path) -> Result<Self> {
        match (folder, name) {
            (Some(folder), Some(name)) => Ok(Self { folder: folder.to_owned(), name: name.to_owned() }),
            _ => Err(Error::not_applied(
                ErrorKind::InvalidArgument,
                format!("the path {} does not name a file", quoted(path)),
            )
            .with_hint("add the name of the file")),
        }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.sibling("lock")
    }

    /// The new content, until it takes the place of the file.
    pub(crate) fn temporary(&self, nonce: u64) -> PathBuf {
        self.sibling(&format!("{TEMPORARY}-{nonce:016x}"))
    }

    /// The content that the writer with this nonce displaced.
    pub(crate) fn displaced(&self, nonce: u64) -> PathBuf {
        self.sibling(&format!("{DISPLACED}-{nonce:016x}"))
    }

    fn sibling(&self, extension: &str) -> PathBuf {
        let mut name = self.name.clone();
        name.push(".");
        name.push(extension);
        self.folder.join(name)
    }

    /// The temporary and displaced files of all writers.
    pub(crate) fn leftovers(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if found.len() < MAX_LEFTOVERS && self.is_leftover(&entry.file_name()) {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    }

    fn is_leftover(&self, name: &OsStr) -> bool {
        let extension = name.as_encoded_bytes().strip_prefix(self.name.as_encoded_bytes());
        let extension = extension.and_then(|rest| str::from_utf8(rest.strip_prefix(b".")?).ok());
        extension.and_then(|extension| extension.split_once('-')).is_some_and(|(sort, nonce)| {
            [TEMPORARY, DISPLACED].contains(&sort)
                && nonce.len() == 16
                && nonce.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    }
}
