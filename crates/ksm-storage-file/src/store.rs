//! The steps of a write. A process that ends between any two of them leaves the old content or the new.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use ksm_storage_core::{
    Displaced, Error, ErrorKind, Outcome, Payload, Result, StoreOutcome, Version, append_nonce, read_nonce,
};

use crate::{
    Durability,
    error::{failed, quoted},
    lock::{Lock, Writer},
    os::{self, Placed},
    place::Place,
    read::{self, Content, MAX_PAYLOAD},
    step::{Step, reached},
    version::of_file,
};

const CONFLICT: StoreOutcome = StoreOutcome::Conflict { current: None, applied_if: Vec::new() };

pub(crate) fn store(
    path: &Path,
    durability: Durability,
    expected: &Version,
    payload: &Payload,
    is_awaited: impl Fn() -> bool,
) -> Result<StoreOutcome> {
    if payload.len() > MAX_PAYLOAD {
        let message = format!("the payload has {} bytes, and a file takes {MAX_PAYLOAD}", payload.len());
        return Err(Error::not_applied(ErrorKind::TooLarge, message));
    }
    let place = Place::of(path)?;
    let mut lock = Lock::acquire(&place)?;
    reached(Step::Locked);
    // A link may have been turned while the lock was waited for.
    if Place::of(path)? != place {
        return Ok(CONFLICT);
    }
    let current = read::current(&place)?;
    if current.stored.version() != expected {
        return Ok(StoreOutcome::conflict(current.stored));
    }
    if let Some(content) = &current.file {
        lock.keep_owner(&content.metadata);
    }
    let nonce = getrandom::u64()
        .map_err(|_| Error::not_applied(ErrorKind::Unavailable, "the system gives no random numbers"))?;
    let untold = clear(&place, lock.last_writer()?.unwrap_or_default())?;
    let mut writer = Writer { nonce, replaces: 0, untold };
    lock.begin(&writer)?;
    reached(Step::Begun);
    let new = New::write(&place, nonce, payload, current.file.as_ref(), durability)?;
    writer.replaces = current.file.as_ref().map_or(0, Content::digest);
    lock.begin(&writer)?;
    reached(Step::Announced);
    let placed = match new.put(&place, current.file.as_ref()) {
        Ok(placed) => placed,
        // Somebody who asks for no lock has removed, or made, the file since it was read.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {
            return Ok(CONFLICT);
        }
        Err(error) => return Err(failed("replace", &place.file(), error)),
    };
    reached(Step::Placed);
    let outcome = new
        .finish(placed, &place, current.file.as_ref(), durability, &mut lock, &mut writer)
        .map_err(|error| error.with_outcome(Outcome::Unknown))?;
    if !writer.untold.is_empty() && is_awaited() {
        // By its own nonce the next writer would find again what could not be renamed. If this fails, it is told twice.
        let _ = lock.begin(&Writer { nonce: nonce.wrapping_add(1), ..Writer::default() });
    }
    Ok(outcome)
}

/// A new content in a file of its own, which is removed on drop.
struct New {
    path: PathBuf,
    /// True if the content there is known, and may be removed.
    known: bool,
    file: File,
    bytes: Payload,
}

impl New {
    fn write(
        place: &Place,
        nonce: u64,
        payload: &Payload,
        old: Option<&Content>,
        durability: Durability,
    ) -> Result<Self> {
        if old.is_some_and(|old| os::mode(&old.metadata) & 0o200 == 0) {
            let file = place.file();
            let message = format!("{} is write-protected", file.display());
            return Err(Error::not_applied(ErrorKind::AccessDenied, message)
                .with_hint(format!("chmod 600 {}", quoted(&file))));
        }
        let path = place.temporary(nonce);
        let mut options = OpenOptions::new();
        os::private(options.write(true).create_new(true));
        let file = options.open(&path).map_err(|error| failed("create", &path, error))?;
        reached(Step::Created);
        let mut new = Self { path, known: true, file, bytes: append_nonce(payload, nonce) };
        new.fill(old, durability).map_err(|error| failed("write", &new.path, error))?;
        Ok(new)
    }

    fn fill(&mut self, old: Option<&Content>, durability: Durability) -> io::Result<()> {
        self.file.write_all(self.bytes.as_bytes())?;
        if let Some(old) = old {
            os::keep_owner(&old.metadata, &self.file)?;
        }
        reached(Step::Written);
        if durability == Durability::Synced {
            self.file.sync_all()?;
        }
        reached(Step::Synced);
        Ok(())
    }

    fn put(&self, place: &Place, old: Option<&Content>) -> io::Result<Placed> {
        match old {
            Some(_) => os::replace(&self.path, &place.file()),
            None => os::create(&self.path, &place.file()),
        }
    }

    /// Looks at what was displaced, and makes the write last.
    fn finish(
        mut self,
        placed: Placed,
        place: &Place,
        old: Option<&Content>,
        durability: Durability,
        lock: &mut Lock,
        writer: &mut Writer,
    ) -> Result<StoreOutcome> {
        let unseen = match placed {
            Placed::New => Displaced::Nothing,
            Placed::Replaced => Displaced::Unverified,
            Placed::Exchanged => {
                self.known = old.is_some_and(|old| says(&self.path, old));
                Displaced::Nothing
            }
        };
        if !self.known {
            writer.untold.push(writer.nonce);
            lock.begin(writer)?;
        }
        let failed = |error| failed("complete the write of", &place.file(), error);
        let metadata = self.file.metadata().map_err(failed)?;
        let version = of_file(&self.bytes, Some(writer.nonce), &metadata);
        drop(self);
        let kept: Vec<_> = writer.untold.iter().filter_map(|nonce| keep(place, *nonce)).collect();
        reached(Step::Removed);
        if durability == Durability::Synced {
            os::sync_folder(&place.folder).map_err(failed)?;
        }
        reached(Step::FolderSynced);
        Ok(StoreOutcome::Committed { version, displaced: foreign(&kept).unwrap_or(unseen) })
    }
}

impl Drop for New {
    fn drop(&mut self) {
        if self.known {
            // If that fails, the next writer does it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Returns true if the file that is now at `path` says what was read, nonce and all. Who wrote it does not matter then.
fn says(path: &Path, old: &Content) -> bool {
    read::unchecked(path).is_ok_and(|now| now.bytes == old.bytes)
}

/// Removes what the last writer left behind if it was killed, but for what it displaced. Returns whose displaced files are
/// still to be told of.
fn clear(place: &Place, last: Writer) -> Result<Vec<u64>> {
    let Writer { nonce, replaces, mut untold } = last;
    if untold.contains(&nonce) {
        return Ok(untold);
    }
    let path = place.temporary(nonce);
    // Before it announced what it replaces it had displaced nothing: what is left is its own, however little was written.
    let known = replaces == 0
        || match read::unchecked(&path) {
            Ok(content) => content.digest() == replaces || read_nonce(&content.bytes) == Some(nonce),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
    if !known {
        untold.push(nonce);
        return Ok(untold);
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &path, error)),
        _ => Ok(untold),
    }
}

/// Gives what the writer with this nonce displaced a name of its own. Where that cannot be, it keeps the one it has.
fn keep(place: &Place, nonce: u64) -> Option<PathBuf> {
    let (temporary, kept) = (place.temporary(nonce), place.displaced(nonce));
    // If it was done by a writer that could not tell any more, this fails.
    let _ = fs::rename(&temporary, &kept);
    [kept, temporary].into_iter().find(|path| fs::symlink_metadata(path).is_ok())
}

/// The last of the files that are kept, and a command that shows them all.
fn foreign(kept: &[PathBuf]) -> Option<Displaced> {
    let version = match read::unchecked(kept.last()?) {
        Ok(content) => content.stored().version().clone(),
        Err(_) => Version::new("foreign"),
    };
    let command = kept.iter().fold("cat".to_owned(), |command, path| command + " " + &quoted(path));
    Some(Displaced::Foreign { version, inspect: Some(command) })
}
