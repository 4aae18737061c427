//! Writes a new file that replaces the old one. A process that ends at any point leaves the old content or the new one
//! in the file.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use ksm_storage_core::{
    Displaced, ErrorKind, Outcome, Payload, Result, StoreOutcome, Version, append_nonce, read_nonce,
};

use crate::{
    Durability,
    error::{failed, quoted, refused},
    failpoint::{Failpoint, reached},
    lock::Lock,
    os::{self, Placed},
    paths::FilePaths,
    read::{self, Content, MAX_PAYLOAD},
};

pub(crate) fn store(
    path: &Path,
    durability: Durability,
    expected: &Version,
    payload: &Payload,
    is_awaited: &dyn Fn() -> bool,
) -> Result<StoreOutcome> {
    if payload.len() > MAX_PAYLOAD {
        let problem = format!("the payload has {} bytes, and a file takes {MAX_PAYLOAD}", payload.len());
        return Err(refused(ErrorKind::TooLarge, problem, "remove unused keys"));
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
    let (base, file) = (current.file, &paths.file);
    match &base {
        Some(base) if os::mode(&base.metadata) & 0o200 == 0 => {
            let file = quoted(file);
            let problem = format!("{file} is write-protected");
            return Err(refused(ErrorKind::AccessDenied, problem, format!("chmod 600 {file}")));
        }
        Some(_) => {}
        None => lock.record_creation()?,
    }
    // Opened beforehand, so that a folder that cannot be synced is an error before anything is written.
    let sync_folder = (durability == Durability::Synced).then(|| os::folder_sync(&paths.folder)).transpose();
    let sync_folder = sync_folder.map_err(|error| failed("open the folder", &paths.folder, error))?;
    let mut new = NewFile::write(&paths, payload, durability)?;
    if !lock.is_current() {
        return Ok(StoreOutcome::conflict(None));
    }
    reached(Failpoint::Checked);
    let how = if base.is_some() { Placed::Exchanged } else { Placed::New };
    let placed = os::place(&new.path, file, how);
    if placed.is_ok() {
        reached(Failpoint::Placed);
    }
    let displaced = match (placed, &base) {
        (Ok(Placed::Replaced), _) => Displaced::Unverified,
        (Ok(_), None) => Displaced::Nothing,
        (Ok(_), Some(base)) => match new.displaced(&paths, base) {
            Some(displaced) => displaced,
            None => return Ok(StoreOutcome::conflict(None)),
        },
        // A program without the lock has removed or created the file since it was read.
        (Err(error), _) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {
            return Ok(StoreOutcome::conflict(None));
        }
        (Err(error), _) => return Err(failed("replace", file, error)),
    };
    reached(Failpoint::Preserved);
    let unknown = |error| failed("complete the write of", file, error).with_outcome(Outcome::Unknown);
    let metadata = new.file.metadata().map_err(unknown)?;
    let version = Content { bytes: new.bytes.clone(), metadata }.version();
    drop(new);
    reached(Failpoint::Removed);
    if let Some(sync) = sync_folder {
        sync().map_err(unknown)?;
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
    fn write(paths: &FilePaths, payload: &Payload, durability: Durability) -> Result<Self> {
        let nonce = getrandom::u64().map_err(|error| {
            let problem = format!("the system has no random numbers: {error}");
            refused(ErrorKind::Unavailable, problem, "check the system (getrandom)")
        })?;
        let path = paths.temporary(nonce);
        let file = os::options()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| failed("create", &path, error))?;
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
    fn displaced(&mut self, paths: &FilePaths, base: &Content) -> Option<Displaced> {
        let found = read::unchecked(&self.path).ok();
        if found.as_ref().is_some_and(|found| found.bytes == base.bytes) {
            return Some(Displaced::Nothing);
        }
        // A write of this project, whose writer held another lock because the lock file was deleted.
        let nonce = found.as_ref().and_then(|found| read_nonce(&found.bytes));
        let is_cooperative = nonce.is_some() && nonce != read_nonce(&base.bytes);
        if is_cooperative && self.undo(&paths.file) {
            return None;
        }
        let version = found.map_or_else(|| Version::new("foreign"), |found| found.version());
        let inspect = Some(format!("cat {}", quoted(&self.preserve(paths))));
        Some(if is_cooperative {
            Displaced::Cooperative { version, inspect }
        } else {
            Displaced::Foreign { version, inspect }
        })
    }

    /// Undoes the exchange. Returns false if this content is current nonetheless, because a third version had arrived.
    fn undo(&mut self, file: &Path) -> bool {
        let is_exchanged =
            |new: &Path| matches!(os::place(new, file, Placed::Exchanged), Ok(Placed::Exchanged));
        if !is_exchanged(&self.path) {
            return false;
        }
        if read::unchecked(&self.path).is_ok_and(|found| found.bytes == self.bytes) {
            return true;
        }
        self.is_disposable = false;
        !is_exchanged(&self.path)
    }

    /// Renames the displaced file, and restricts access to its owner. Returns its path.
    fn preserve(&mut self, paths: &FilePaths) -> PathBuf {
        self.is_disposable = false;
        read::make_private(&self.path);
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
