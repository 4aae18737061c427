use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use ksm_storage_core::{Error, ErrorKind, Result};

use crate::error::{failed, quoted};

/// Both have nine letters, so that a file name short enough for one is short enough for the other.
const TEMPORARY: &str = "temporary-";
const DISPLACED: &str = "displaced-";
/// The maximum number of leftovers that are listed.
const MAX_LEFTOVERS: usize = 64;

/// The path of the file, with all links followed, and of the files that may be beside it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FilePaths {
    pub(crate) folder: PathBuf,
    name: OsString,
}

impl FilePaths {
    /// Follows the links of `path`. The file itself need not exist; its folder must.
    pub(crate) fn resolve(path: &Path) -> Result<Self> {
        let file = match fs::canonicalize(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => creatable(path)?,
            result => result.map_err(|error| failed("find", path, error))?,
        };
        match (file.parent(), file.file_name()) {
            (Some(folder), Some(name)) => Ok(Self { folder: folder.into(), name: name.into() }),
            _ => Err(unnamed(path)),
        }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.folder.join(self.with_extension("lock"))
    }

    /// The new content, until it replaces the file.
    pub(crate) fn temporary(&self, nonce: u64) -> PathBuf {
        self.folder.join(self.with_extension(&format!("{TEMPORARY}{nonce:016x}")))
    }

    /// The content displaced by the writer with this nonce.
    pub(crate) fn displaced(&self, nonce: u64) -> PathBuf {
        self.folder.join(self.with_extension(&format!("{DISPLACED}{nonce:016x}")))
    }

    fn with_extension(&self, extension: &str) -> OsString {
        [self.name.as_os_str(), ".".as_ref(), extension.as_ref()].into_iter().collect()
    }

    /// The temporary and displaced files of all writers.
    pub(crate) fn leftovers(&self) -> io::Result<Vec<PathBuf>> {
        let [temporary, displaced] = [TEMPORARY, DISPLACED].map(|sort| self.with_extension(sort));
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let starts_with = |start: &OsString| {
                let digits = name.as_encoded_bytes().strip_prefix(start.as_encoded_bytes());
                digits.is_some_and(|digits| digits.len() == 16 && digits.iter().all(u8::is_ascii_hexdigit))
            };
            if found.len() < MAX_LEFTOVERS && (starts_with(&temporary) || starts_with(&displaced)) {
                found.push(self.folder.join(name));
            }
        }
        found.sort();
        Ok(found)
    }
}

/// The path of a file that does not exist yet.
fn creatable(path: &Path) -> Result<PathBuf> {
    if fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
        let message = format!("{} is a symbolic link to a missing file", quoted(path));
        return Err(Error::not_applied(ErrorKind::NotFound, message).with_hint("correct or remove the link"));
    }
    let folder = path.parent().ok_or_else(|| unnamed(path))?;
    match (fs::canonicalize(folder), path.file_name()) {
        (Ok(folder), Some(name)) => Ok(folder.join(name)),
        (Ok(_), None) => Err(unnamed(path)),
        (Err(error), _) if error.kind() == io::ErrorKind::NotFound => {
            let hint = format!("mkdir -m 700 {}", quoted(folder));
            Err(failed("find", folder, error).with_hint(hint))
        }
        (Err(error), _) => Err(failed("find", folder, error)),
    }
}

fn unnamed(path: &Path) -> Error {
    let message = format!("the path {} does not name a file", quoted(path));
    Error::not_applied(ErrorKind::InvalidArgument, message).with_hint("add the name of the file")
}
