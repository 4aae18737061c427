use std::{num::NonZeroU32, time::Duration};

use super::{committer::Queue, reader::History};
use crate::{
    Clock, ConfigDocument, Location, Snapshot, StorageBackend, Version,
    snapshot::Content,
    sync::{Arc, ArcSwap, Mutex, lock},
};

/// What a handle and its clones have in common.
pub(super) struct Shared {
    pub(super) backend: Arc<dyn StorageBackend>,
    pub(super) attempts: NonZeroU32,
    pub(super) deadline: Duration,
    pub(super) read_only: bool,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) current: ArcSwap<Content>,
    pub(super) history: Mutex<History>,
    pub(super) queue: Mutex<Queue>,
}

impl Shared {
    pub(super) fn new(
        backend: Arc<dyn StorageBackend>,
        attempts: NonZeroU32,
        deadline: Duration,
        read_only: bool,
        clock: Arc<dyn Clock>,
        snapshot: Snapshot,
    ) -> Self {
        let mut history = History::default();
        history.note(snapshot.version());
        Self {
            backend,
            attempts,
            deadline,
            read_only,
            clock,
            current: ArcSwap::new(snapshot.into_content()),
            history: Mutex::new(history),
            queue: Mutex::default(),
        }
    }

    pub(super) fn location(&self) -> Location {
        self.backend.location()
    }

    /// Identifies this handle family within the process.
    pub(super) fn family(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// The most bytes that may be stored: what the backend takes, and what can be read again.
    pub(super) fn max_len(&self) -> usize {
        self.backend.capabilities().max_payload.unwrap_or(usize::MAX).min(ConfigDocument::MAX_LEN)
    }

    /// Makes the document the current snapshot.
    pub(super) fn install(&self, version: &Version, document: ConfigDocument) -> Snapshot {
        lock(&self.history).note(version);
        let current = self.current.load_full();
        if current.version == *version && current.document == document {
            return Snapshot::from_content(current);
        }
        let snapshot = Snapshot::new(version.clone(), document);
        self.current.store(snapshot.clone().into_content());
        snapshot
    }
}
