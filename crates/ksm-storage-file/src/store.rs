//! Writes a new file that replaces the old one. A process that ends at any point leaves the old content or the new one
//! in the file.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use ksm_storage_core::{
    Displaced, Error, ErrorKind, Outcome, Payload, Result, StoreOutcome, Version, append_nonce,
};

use crate::{
    Durability,
    error::{failed, quoted},
    failpoint::{Failpoint, reached},
    lock::Lock,
    os::{self, Placed},
    paths::FilePaths,
    read::{self, Content, MAX_PAYLOAD},
    version,
};

pub(crate) fn store(
    path: &Path,
    durability: Durability,
    expected: &Version,
    payload: &Payload,
    is_awaited: &dyn Fn() -> bool,
) -> Result<StoreOutcome> {
    if payload.len() > MAX_PAYLOAD {
        let message = format!("the payload has {} bytes, and a file takes {MAX_PAYLOAD}", payload.len());
        return Err(Error::not_applied(ErrorKind::TooLarge, message));
    }
    let paths = FilePaths::resolve(path)?;
    let lock = Lock::acquire(&paths, is_awaited)?;
    reached(Failpoint::Locked);
    // A link may have changed while waiting for the lock.
    if FilePaths::resolve(path)? != paths {
        return Ok(StoreOutcome::conflict(None));
    }
    let current = read::current(&paths)?;
    if current.stored.version() != expected {
        return Ok(StoreOutcome::conflict(current.stored));
    }
    let base = current.file;
    let nonce = getrandom::u64().map_err(|_| {
        Error::not_applied(ErrorKind::Unavailable, "the system has no random numbers (getrandom failed)")
    })?;
    let file = paths.file();
    match &base {
        Some(base) if os::mode(&base.metadata) & 0o200 == 0 => {
            let file = quoted(&file);
            let message = format!("{file} is write-protected");
            return Err(
                Error::not_applied(ErrorKind::AccessDenied, message).with_hint(format!("chmod 600 {file}"))
            );
        }
        Some(_) => {}
        None => lock.record_creation()?,
    }
    // Opened beforehand, so that a folder that cannot be synced is an error before anything is written.
    let folder = match durability {
        Durability::Synced => {
            os::open_folder(&paths.folder).map_err(|error| failed("open the folder", &paths.folder, error))?
        }
        Durability::Relaxed => None,
    };
    let mut new = NewFile::write(&paths, nonce, payload, durability)?;
    if !lock.is_current() {
        return Ok(StoreOutcome::conflict(None));
    }
    reached(Failpoint::Checked);
    let placed = match &base {
        Some(_) => os::exchange(&new.path, &file),
        None => os::create(&new.path, &file),
    };
    if placed.is_ok() {
        reached(Failpoint::Placed);
    }
    let displaced = match placed {
        Ok(Placed::New) => Displaced::Nothing,
        Ok(Placed::Replaced) => Displaced::Unverified,
        Ok(Placed::Exchanged) => match new.displaced(&paths, base.as_ref()) {
            Some(displaced) => displaced,
            None => return Ok(StoreOutcome::conflict(None)),
        },
        // A program without the lock has removed or created the file since it was read.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {
            return Ok(StoreOutcome::conflict(None));
        }
        Err(error) => return Err(failed("replace", &file, error)),
    };
    reached(Failpoint::Preserved);
    let unknown = |error| failed("complete the write of", &file, error).with_outcome(Outcome::Unknown);
    let metadata = new.file.metadata().map_err(unknown)?;
    let version = version::of_file(&new.bytes, Some(nonce), &metadata);
    drop(new);
    reached(Failpoint::Removed);
    if let Some(folder) = folder {
        os::sync_folder(&folder).map_err(unknown)?;
    }
    reached(Failpoint::FolderSynced);
    Ok(StoreOutcome::Committed { version, displaced })
}

/// New content, and the path of its temporary file, which is removed on drop.
struct NewFile {
    path: PathBuf,
    nonce: u64,
    file: File,
    bytes: Payload,
    /// False if the file at `path` must be preserved, because its content is stored nowhere else.
    is_disposable: bool,
}

impl NewFile {
    fn write(paths: &FilePaths, nonce: u64, payload: &Payload, durability: Durability) -> Result<Self> {
        let path = paths.temporary(nonce);
        let mut options = OpenOptions::new();
        os::private(options.write(true).create_new(true));
        let file = options.open(&path).map_err(|error| failed("create", &path, error))?;
        let mut new = Self { path, nonce, file, bytes: append_nonce(payload, nonce), is_disposable: true };
        reached(Failpoint::Created);
        os::make_private(&new.file)
            .and_then(|()| new.file.write_all(new.bytes.as_bytes()))
            .map_err(|error| failed("write", &new.path, error))?;
        reached(Failpoint::Written);
        if durability == Durability::Synced {
            new.file.sync_all().map_err(|error| failed("sync", &new.path, error))?;
        }
        reached(Failpoint::Synced);
        Ok(new)
    }

    /// Compares the displaced content with the content read before. Returns `None` if the exchange was undone.
    fn displaced(&mut self, paths: &FilePaths, base: Option<&Content>) -> Option<Displaced> {
        let found = read::unchecked(&self.path);
        let base_nonce = base.and_then(Content::nonce);
        let is_base = |found: &Content| base.is_some_and(|base| base.bytes == found.bytes);
        let is_cooperative = |found: &Content| found.nonce().is_some() && found.nonce() != base_nonce;
        match &found {
            Ok(found) if is_base(found) => return Some(Displaced::Nothing),
            // A write of this project, whose writer held another lock because the lock file was deleted.
            Ok(found) if is_cooperative(found) && self.undo(&paths.file()) => return None,
            _ => {}
        }
        let path = self.preserve(paths);
        let found = read::unchecked(&path);
        let version = found.as_ref().map_or_else(|_| Version::new("foreign"), Content::version);
        let inspect = Some(format!("cat {}", quoted(&path)));
        Some(match found {
            Ok(found) if is_cooperative(&found) => Displaced::Cooperative { version, inspect },
            _ => Displaced::Foreign { version, inspect },
        })
    }

    /// Undoes the exchange. Returns false if this content is current nonetheless, because a third version had arrived.
    fn undo(&mut self, file: &Path) -> bool {
        let exchanged = |result| matches!(result, Ok(Placed::Exchanged));
        if !exchanged(os::exchange(&self.path, file)) {
            return false;
        }
        if read::unchecked(&self.path).is_ok_and(|found| found.bytes == self.bytes) {
            return true;
        }
        self.is_disposable = false;
        !exchanged(os::exchange(&self.path, file))
    }

    /// Renames the displaced file, and restricts access to its owner. Returns its path.
    fn preserve(&mut self, paths: &FilePaths) -> PathBuf {
        self.is_disposable = false;
        if let Ok(file) = read::open(&self.path) {
            let _ = os::make_private(&file);
        }
        let preserved = paths.displaced(self.nonce);
        match fs::rename(&self.path, &preserved) {
            Ok(()) => preserved,
            Err(_) => self.path.clone(),
        }
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.is_disposable {
            // If this fails, the next opening reports the file.
            let _ = fs::remove_file(&self.path);
        }
    }
}
