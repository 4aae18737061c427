use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use ksm_storage_core::{
    Absence, Capabilities, Location, Payload, Result, StorageBackend, StoreOutcome, Stored, Version, Writes,
};

const CREATE: &str = "create it first, with `{}` as its content";

static NEXT_STORE: AtomicU64 = AtomicU64::new(1);

/// A store in this process's memory, shared only by clones.
///
/// Its writes are [`Writes::Exact`] and its reads are fresh.
///
/// ```
/// # use ksm_storage_memory::MemoryBackend;
/// let backend = MemoryBackend::from_config("{}");
/// assert_eq!(backend.clone().read().unwrap().as_bytes(), b"{}");
/// assert!(MemoryBackend::new().read().is_none());
/// ```
#[derive(Clone)]
pub struct MemoryBackend {
    number: u64,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Counter of store events.
    version: u64,
    payload: Option<Payload>,
}

impl MemoryBackend {
    /// An empty store. [`ConfigStorage::open`](ksm_storage_core::ConfigStorage::open) fails with `NotFound`;
    /// [`open_or_create`](ksm_storage_core::ConfigStorage::open_or_create) succeeds.
    pub fn new() -> Self {
        Self::default()
    }

    /// A store that contains `config`: JSON, or base64 of JSON. It is parsed when a storage is opened.
    pub fn from_config(config: impl Into<Payload>) -> Self {
        let backend = Self::new();
        backend.overwrite(Some(config.into()));
        backend
    }

    /// The current content, byte for byte.
    pub fn read(&self) -> Option<Payload> {
        self.lock().payload.clone()
    }

    /// Stores `payload` or removes the content unconditionally, as a foreign writer would.
    pub fn overwrite(&self, payload: Option<Payload>) {
        let mut state = self.lock();
        state.version += 1;
        state.payload = payload;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A writer cannot panic between its two assignments.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryBackend {
    fn default() -> Self {
        Self { number: NEXT_STORE.fetch_add(1, Ordering::Relaxed), state: Arc::default() }
    }
}

impl State {
    fn stored(&self) -> Stored {
        let version = Version::new(self.version.to_string());
        match &self.payload {
            Some(payload) => Stored::present(version, payload.clone()),
            None => Stored::absent(version, Absence::new("nothing is stored here").with_hint(CREATE)),
        }
    }
}

#[async_trait]
impl StorageBackend for MemoryBackend {
    fn location(&self) -> Location {
        Location::new("memory", self.number.to_string())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Writes::Exact)
    }

    async fn load(&self) -> Result<Stored> {
        Ok(self.lock().stored())
    }

    async fn confirm(&self, version: &Version) -> Result<bool> {
        Ok(self.lock().stored().version() == version)
    }

    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        let mut state = self.lock();
        let current = state.stored();
        if current.version() != expected {
            return Ok(StoreOutcome::conflict(current));
        }
        state.version += 1;
        state.payload = Some(payload.clone());
        Ok(StoreOutcome::committed(state.stored().version().clone()))
    }
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("MemoryBackend")
            .field("location", &self.location())
            .field("version", &state.version)
            .field("payload", &state.payload)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_current_version_is_replaced() {
        let backend = MemoryBackend::from_config("{}");
        let before = backend.load().await.unwrap().version().clone();
        let made = backend.store(&before, &r#"{"a":1}"#.into()).await.unwrap();
        let current = backend.load().await.unwrap();
        assert_eq!(made, StoreOutcome::committed(current.version().clone()));
        assert_ne!(*current.version(), before);
        let refused = backend.store(&before, &r#"{"a":2}"#.into()).await.unwrap();
        assert_eq!(refused, StoreOutcome::conflict(current));
        assert_eq!(backend.read(), Some(r#"{"a":1}"#.into()));
    }

    #[test]
    fn debug_shows_no_content() {
        let backend = MemoryBackend::from_config("s3cret");
        let shown = format!("{backend:?}");
        assert!(shown.contains(backend.location().address()) && shown.contains("6 bytes"), "{shown}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
