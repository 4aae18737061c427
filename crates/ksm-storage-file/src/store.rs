//! The steps of a write. A process that ends between any two of them leaves the old content or the new.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use ksm_storage_core::{Displaced, ErrorKind, Outcome, Payload, Result, StoreOutcome, Version};

use crate::{
    Durability,
    error::{failed, quoted, refused},
    lock::{Lock, Writer},
    os::{self, Placed},
    place::Place,
    read::{self, Content, MAX_PAYLOAD},
    step::{Step, reached},
    version::{self, of_file},
};

const CONFLICT: StoreOutcome = StoreOutcome::Conflict { current: None };

pub(crate) fn store(
    path: &Path,
    durability: Durability,
    expected: &Version,
    payload: &Payload,
) -> Result<StoreOutcome> {
    if payload.len() > MAX_PAYLOAD {
        let message = format!("the payload has {} bytes, and a file takes {MAX_PAYLOAD}", payload.len());
        return Err(refused(ErrorKind::TooLarge, message));
    }
    let place = Place::of(path)?;
    let mut lock = Lock::acquire(&place)?;
    reached(Step::Locked);
    // A link may have been turned while the lock was waited for.
    if Place::of(path)? != place {
        return Ok(CONFLICT);
    }
    let current = read::current(&place)?;
    if current.stored.version != *expected {
        return Ok(StoreOutcome::Conflict { current: Some(current.stored) });
    }
    if let Some(content) = &current.file {
        lock.keep_owner(&content.metadata);
    }
    let nonce = getrandom::u64()
        .map_err(|_| refused(ErrorKind::Unavailable, "the system gives no random numbers"))?;
    let left = match lock.last_writer()? {
        Some(last) => clear(&place, last)?,
        None => Displaced::Nothing,
    };
    lock.begin(Writer { nonce, replaces: current.file.as_ref().map_or(0, Content::digest) })?;
    reached(Step::Begun);
    let new = New::write(&place, nonce, payload, current.file.as_ref(), durability)?;
    let placed = match new.put(&place, current.file.as_ref()) {
        Ok(placed) => placed,
        // Somebody who asks for no lock has removed, or made, the file since it was read.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {
            return Ok(CONFLICT);
        }
        Err(error) => return Err(failed("replace", &place.file(), error)),
    };
    reached(Step::Placed);
    let (version, displaced) =
        new.finish(placed, &place, current.file.as_ref(), durability, &mut lock).map_err(|error| {
            failed("complete the write of", &place.file(), error).with_outcome(Outcome::Unknown)
        })?;
    let displaced = match (displaced, left) {
        (Displaced::Nothing | Displaced::Unverified, left @ Displaced::Foreign { .. }) => left,
        (displaced, _) => displaced,
    };
    Ok(StoreOutcome::Committed { version, displaced })
}

/// A new content in a file of its own, which is removed on drop.
struct New {
    path: PathBuf,
    /// Whether what is there is known, and may be removed.
    known: bool,
    file: File,
    bytes: Payload,
    nonce: u64,
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
            return Err(
                refused(ErrorKind::AccessDenied, message).with_hint(format!("chmod 600 {}", quoted(&file)))
            );
        }
        let path = place.temporary(nonce);
        let mut options = OpenOptions::new();
        os::private(options.write(true).create_new(true));
        let file = options.open(&path).map_err(|error| failed("create", &path, error))?;
        reached(Step::Created);
        let mut new = Self { path, known: true, file, bytes: version::frame(payload, nonce), nonce };
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
    ) -> io::Result<(Version, Displaced)> {
        let displaced = match placed {
            Placed::New => Displaced::Nothing,
            Placed::Replaced => Displaced::Unverified,
            Placed::Exchanged if old.is_some_and(|old| is_unchanged(old, &self.path)) => Displaced::Nothing,
            Placed::Exchanged => self.keep_aside(place, lock),
        };
        let version = of_file(&self.bytes, Some(self.nonce), &self.file.metadata()?);
        drop(self);
        reached(Step::Removed);
        if durability == Durability::Synced {
            os::sync_folder(&place.folder)?;
        }
        reached(Step::FolderSynced);
        Ok((version, displaced))
    }

    /// Keeps what nobody of this crate has seen.
    fn keep_aside(&mut self, place: &Place, lock: &mut Lock) -> Displaced {
        self.known = false;
        let kept = keep(&self.path, place, self.nonce);
        if kept == self.path {
            // By this writer's nonce the next one would find and report it again.
            let _ = lock.begin(Writer { nonce: self.nonce.wrapping_add(1), replaces: 0 });
        }
        foreign(&kept)
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

/// Whether the file that is now at `path` is the one that was read, and still says the same.
fn is_unchanged(old: &Content, path: &Path) -> bool {
    read::unchecked(path)
        .is_ok_and(|now| os::id(&now.metadata) == os::id(&old.metadata) && now.bytes == old.bytes)
}

/// Removes what a killed writer left behind: its own content, or the one that it knew and had replaced. It did not live
/// to report anything else, which is kept.
fn clear(place: &Place, last: Writer) -> Result<Displaced> {
    let path = place.temporary(last.nonce);
    let known = match read::unchecked(&path) {
        Ok(content) => {
            content.bytes.is_empty()
                || content.digest() == last.replaces
                || version::unframe(content.bytes).1 == Some(last.nonce)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Displaced::Nothing),
        Err(_) => false,
    };
    if !known {
        return Ok(foreign(&keep(&path, place, last.nonce)));
    }
    fs::remove_file(&path).map_err(|error| failed("remove", &path, error))?;
    Ok(Displaced::Nothing)
}

/// Keeps what the writer with this nonce displaced, and returns where: under the same name if no other can be had.
fn keep(path: &Path, place: &Place, nonce: u64) -> PathBuf {
    let kept = place.displaced(nonce);
    if fs::rename(path, &kept).is_ok() { kept } else { path.to_owned() }
}

fn foreign(kept: &Path) -> Displaced {
    let version = match read::unchecked(kept) {
        Ok(content) => content.stored().version,
        Err(_) => Version::new("foreign"),
    };
    Displaced::Foreign { version, inspect: Some(format!("cat {}", quoted(kept))) }
}
