use std::{mem, process, time::Duration};

use tokio::sync::watch;

use super::{
    change::Claim,
    fresh::Refresher,
    queue::{Queue, Stage},
    reader::{History, timeout},
};
use crate::{
    BindState, Clock, ConfigDocument, Connect, Error, ErrorKind, Location, OpenOptions, Result, Snapshot,
    StorageBackend, Verification, Version,
    events::Event,
    measure,
    snapshot::{Content, Origin},
    sync::{Arc, ArcSwap, Mutex, lock},
};

/// State that a handle shares with its clones.
pub(super) struct Shared {
    /// Dropped first, so that nothing of the document is left once the backend is gone.
    pub(super) current: ArcSwap<Content>,
    pub(super) history: Mutex<History>,
    pub(super) queue: Mutex<Queue>,
    pub(super) refresher: Mutex<Option<Refresher>>,
    /// Publishes each version that becomes current.
    pub(super) versions: Arc<watch::Sender<Version>>,
    /// The process that opened the storage.
    process: u32,
    pub(super) options: OpenOptions,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) source: Arc<dyn Connect>,
    pub(super) backend: Arc<dyn StorageBackend>,
}

impl Shared {
    /// The state before the first load. A handle is given out only after a document is [installed](Self::install).
    pub(super) fn new(
        source: Arc<dyn Connect>,
        backend: Arc<dyn StorageBackend>,
        options: OpenOptions,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let nothing = Snapshot::new(Version::new(""), ConfigDocument::new(), Verification::Conclusive);
        Self {
            process: process::id(),
            source,
            backend,
            options,
            clock,
            current: ArcSwap::new(nothing.into_content()),
            history: Mutex::default(),
            queue: Mutex::default(),
            refresher: Mutex::default(),
            versions: Arc::new(watch::Sender::new(Version::new(""))),
        }
    }

    /// The error of a call in `batch` that has reached its deadline.
    pub(super) fn timeout_error(&self, claim: &Claim, batch: u64, queued_at: Duration) -> Error {
        let queue = lock(&self.queue);
        if queue.batch < batch {
            return timeout("earlier calls of this storage did not end before the deadline");
        }
        // The committer drops a call whose change takes too long, and continues, perhaps with the next batch.
        let stage = if claim.has_overrun() { Stage::Change } else { queue.stage };
        let error = stage.timeout_error();
        if queue.batch == batch { self.with_queue_time(error, queue.taken_at, queued_at) } else { error }
    }

    /// Adds to a timeout that the call has spent most of its time in the queue.
    pub(super) fn with_queue_time(&self, error: Error, taken_at: Duration, queued_at: Duration) -> Error {
        let waited = taken_at.saturating_sub(queued_at);
        let is_short = waited < self.options.deadline / 2;
        if error.kind() != ErrorKind::Timeout || error.hint().is_some() || is_short {
            return error;
        }
        let waited = waited.as_secs_f64();
        error.with_hint(format!(
            "earlier calls took {waited:.1} s of the time limit; check what delays them, or raise the deadline"
        ))
    }

    pub(super) fn location(&self) -> Location {
        self.backend.location()
    }

    /// Identifies this handle family within the process.
    pub(super) fn family(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// The largest payload that may be stored, in bytes: the backend must accept it, and it must be readable again.
    pub(super) fn max_len(&self) -> usize {
        self.backend.capabilities().max_payload.unwrap_or(usize::MAX).min(ConfigDocument::MAX_LEN)
    }

    /// Returns true in a forked child process, which lacks the threads and connections of its parent and may have
    /// inherited locked locks.
    pub(super) fn is_forked(&self) -> bool {
        process::id() != self.process
    }

    /// The first step of every call except a read, before any lock is taken.
    pub(super) fn refuse_after_fork(&self) -> Result<()> {
        if !self.is_forked() {
            return Ok(());
        }
        Err(Error::not_applied(
            ErrorKind::Runtime,
            "the storage was opened before a fork, and this is the child process",
        )
        .with_hint("call reopen in the child, and use what it returns; reads still work"))
    }

    /// Returns an error if writes are not allowed.
    pub(super) fn refuse_write(&self) -> Result<()> {
        if self.options.read_only {
            return Err(Error::not_applied(ErrorKind::ReadOnly, "this storage was opened read-only"));
        }
        self.backend.capabilities().check_write()
    }

    /// Makes the loaded document the current snapshot.
    pub(super) fn install(&self, version: &Version, document: ConfigDocument) -> Snapshot {
        self.install_checked(version, document, Verification::Conclusive)
    }

    /// Makes the document the current snapshot, after a write whose check ended in `verification`.
    pub(super) fn install_checked(
        &self,
        version: &Version,
        document: ConfigDocument,
        verification: Verification,
    ) -> Snapshot {
        lock(&self.history).note(version);
        measure::up_to_date(|| self.location());
        let current = self.current.load_full();
        let is_known = current.origin == Origin::Store && current.version == *version;
        if is_known && current.document == document {
            return Snapshot::from_content(current);
        }
        let snapshot = Snapshot::new(version.clone(), document, verification);
        self.make_current(&snapshot, &current);
        snapshot
    }

    /// Makes the document of a replica the current snapshot. Its version is not recorded, because a replica need not
    /// have the versions of its store.
    pub(super) fn install_replica(&self, version: Version, document: ConfigDocument) {
        self.make_current(&Snapshot::of_replica(version, document), &self.current.load_full());
    }

    fn make_current(&self, snapshot: &Snapshot, before: &Content) {
        self.current.store(snapshot.clone().into_content());
        if *snapshot.version() != before.version {
            self.versions.send_replace(snapshot.version().clone());
        }
        let state = snapshot.bind_state();
        if state != before.document.bind_state() {
            self.warn_of(state);
        }
    }

    /// Warns about a document that is not empty, but from which no client can start.
    fn warn_of(&self, state: BindState) {
        let event = match state {
            BindState::Unrecognized => Event::Unrecognized,
            BindState::Invalid(key) => Event::InvalidKey { key },
            BindState::Empty | BindState::Unbound | BindState::Bound => return,
        };
        event.log(|| self.location());
    }
}

/// In a child process, dropping connections could block on a lock held by a thread of the parent, so they are leaked.
impl Drop for Shared {
    fn drop(&mut self) {
        if self.is_forked() {
            mem::forget((Arc::clone(&self.source), Arc::clone(&self.backend), Arc::clone(&self.clock)));
            mem::forget((mem::take(&mut self.queue), mem::take(&mut self.refresher)));
            mem::forget(Arc::clone(&self.versions));
        }
    }
}
