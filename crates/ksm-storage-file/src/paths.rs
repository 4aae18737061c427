use std::{
    fs, io,
    path::{Path, PathBuf},
};

use ksm_storage_core::{Error, ErrorKind, Result};

use crate::error::{failed, quoted, refused};

/// Both have nine letters, so that a file name short enough for one is short enough for the other.
const TEMPORARY: &str = ".temporary-";
const DISPLACED: &str = ".displaced-";
/// The maximum number of leftovers that are listed.
pub(crate) const MAX_LEFTOVERS: usize = 64;

/// The path of the file, with all links followed, and of the files that may be beside it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FilePaths {
    pub(crate) file: PathBuf,
    pub(crate) folder: PathBuf,
}

impl FilePaths {
    /// Follows the links of `path`. The file itself need not exist; its folder must.
    pub(crate) fn resolve(path: &Path) -> Result<Self> {
        let file = match fs::canonicalize(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => creatable(path)?,
            result => result.map_err(|error| failed("find", path, error))?,
        };
        let folder = file.parent().ok_or_else(|| unnamed(path))?.into();
        Ok(Self { file, folder })
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.beside(".lock")
    }

    /// The new content, until it replaces the file.
    pub(crate) fn temporary(&self, nonce: u64) -> PathBuf {
        self.beside(&format!("{TEMPORARY}{nonce:016x}"))
    }

    /// The content displaced by the writer with this nonce.
    pub(crate) fn displaced(&self, nonce: u64) -> PathBuf {
        self.beside(&format!("{DISPLACED}{nonce:016x}"))
    }

    fn beside(&self, extension: &str) -> PathBuf {
        let mut path = self.file.clone().into_os_string();
        path.push(extension);
        path.into()
    }

    /// The temporary and displaced files of all writers.
    pub(crate) fn leftovers(&self) -> io::Result<Vec<PathBuf>> {
        let starts = [TEMPORARY, DISPLACED].map(|sort| self.beside(sort));
        let is_leftover = |path: &Path| {
            let path = path.as_os_str().as_encoded_bytes();
            let digits =
                starts.iter().find_map(|start| path.strip_prefix(start.as_os_str().as_encoded_bytes()));
            digits.is_some_and(|digits| digits.len() == 16 && digits.iter().all(u8::is_ascii_hexdigit))
        };
        let paths = fs::read_dir(&self.folder)?.map(|entry| Ok(entry?.path()));
        let found = paths.filter(|path| path.as_deref().map_or(true, is_leftover));
        let mut found = found.take(MAX_LEFTOVERS).collect::<io::Result<Vec<_>>>()?;
        found.sort();
        Ok(found)
    }
}

/// The path of a file that does not exist yet.
fn creatable(path: &Path) -> Result<PathBuf> {
    if path.is_symlink() {
        let problem = format!("{} is a symbolic link to a missing file", quoted(path));
        return Err(refused(ErrorKind::NotFound, problem, "correct or remove the link"));
    }
    let folder = path.parent().ok_or_else(|| unnamed(path))?;
    let found = fs::canonicalize(folder).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            failed("find", folder, error).with_hint(format!("mkdir -m 700 {}", quoted(folder)))
        }
        _ => failed("find", folder, error),
    })?;
    Ok(found.join(path.file_name().ok_or_else(|| unnamed(path))?))
}

fn unnamed(path: &Path) -> Error {
    let problem = format!("the path {} does not name a file", quoted(path));
    refused(ErrorKind::InvalidArgument, problem, "add the name of the file")
}
