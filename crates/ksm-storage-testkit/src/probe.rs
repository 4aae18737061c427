use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use ksm_storage_core::{
    Capabilities, Displaced, Error, Location, Payload, Result, StorageBackend, StoreOutcome, Stored, Version,
};
use tokio::sync::watch;

/// Wraps a backend to count its calls, to hold them up, and to make them fail on demand.
///
/// ```
/// use std::sync::Arc;
///
/// use ksm_storage_core::{ConfigKey, ConfigStorage, Error, ErrorKind, Outcome};
/// use ksm_storage_memory::MemoryBackend;
/// use ksm_storage_testkit::{Probe, StoreFault};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let probe = Probe::new(Arc::new(MemoryBackend::from_config("{}")));
/// let storage = ConfigStorage::open(probe.clone()).await?;
/// probe.fail_stores([StoreFault::ReplyLost(Error::new(ErrorKind::Unavailable, "the line is dead"))]);
/// let error = storage.set(ConfigKey::Hostname, "keepersecurity.com").await.unwrap_err();
/// assert_eq!(error.outcome(), Outcome::Unknown);
/// assert_eq!(probe.calls(), (2, 1), "loads and stores");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Probe {
    inner: Arc<dyn StorageBackend>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    loads: AtomicUsize,
    stores: AtomicUsize,
    load_faults: Mutex<VecDeque<LoadFault>>,
    store_faults: Mutex<VecDeque<StoreFault>>,
    rolled_back: Mutex<Option<Version>>,
    load_gate: Gate,
    store_gate: Gate,
}

/// A fault of one load.
#[derive(Clone, Debug)]
pub enum LoadFault {
    /// Fails.
    Fail(Error),
    /// Returns this value, which was current earlier.
    Return(Stored),
    /// Returns this value, and the store confirms it.
    RolledBack(Stored),
    /// Never completes.
    Hang,
}

/// A fault of one store.
#[derive(Clone, Debug)]
pub enum StoreFault {
    /// Fails without storing.
    Fail(Error),
    /// Stores, then fails.
    ReplyLost(Error),
    /// Claims that another version is current, and stores nothing.
    Conflict,
    /// Stores nothing and never completes.
    Hang,
    /// Stores, and reports this displacement.
    Displaced(Displaced),
}

impl Probe {
    /// Wraps `inner`, without faults.
    pub fn new(inner: Arc<dyn StorageBackend>) -> Self {
        Self { inner, state: Arc::default() }
    }

    /// Number of loads and of stores so far.
    pub fn calls(&self) -> (usize, usize) {
        (self.state.loads.load(Ordering::SeqCst), self.state.stores.load(Ordering::SeqCst))
    }

    /// Queues these faults for the next loads, in this order.
    pub fn fail_loads(&self, faults: impl IntoIterator<Item = LoadFault>) {
        lock(&self.state.load_faults).extend(faults);
    }

    /// Queues these faults for the next stores, in this order.
    pub fn fail_stores(&self, faults: impl IntoIterator<Item = StoreFault>) {
        lock(&self.state.store_faults).extend(faults);
    }

    /// Gate that holds up loads after they have read.
    pub fn loads(&self) -> &Gate {
        &self.state.load_gate
    }

    /// Gate that holds up stores before they write.
    pub fn stores(&self) -> &Gate {
        &self.state.store_gate
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl StorageBackend for Probe {
    fn location(&self) -> Location {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn load(&self) -> Result<Stored> {
        self.state.loads.fetch_add(1, Ordering::SeqCst);
        let fault = lock(&self.state.load_faults).pop_front();
        let result = match fault {
            None => self.inner.load().await,
            Some(LoadFault::Fail(error)) => Err(error),
            Some(LoadFault::Return(stored)) => Ok(stored),
            Some(LoadFault::RolledBack(stored)) => {
                *lock(&self.state.rolled_back) = Some(stored.version().clone());
                Ok(stored)
            }
            Some(LoadFault::Hang) => std::future::pending().await,
        };
        self.state.load_gate.pass().await;
        result
    }

    async fn confirm(&self, version: &Version) -> Result<bool> {
        if lock(&self.state.rolled_back).as_ref() == Some(version) {
            return Ok(true);
        }
        // The backend does not know of the stale loads that this probe produces.
        Ok(self.inner.confirm(version).await? && self.inner.load().await?.version() == version)
    }

    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        self.state.stores.fetch_add(1, Ordering::SeqCst);
        self.state.store_gate.pass().await;
        let fault = lock(&self.state.store_faults).pop_front();
        match fault {
            None => self.inner.store(expected, payload).await,
            Some(StoreFault::Fail(error)) => Err(error),
            Some(StoreFault::ReplyLost(error)) => {
                self.inner.store(expected, payload).await?;
                Err(error)
            }
            Some(StoreFault::Conflict) => Ok(StoreOutcome::conflict(None)),
            Some(StoreFault::Hang) => std::future::pending().await,
            Some(StoreFault::Displaced(displaced)) => match self.inner.store(expected, payload).await? {
                StoreOutcome::Committed { version, .. } => Ok(StoreOutcome::Committed { version, displaced }),
                conflict @ StoreOutcome::Conflict { .. } => Ok(conflict),
            },
        }
    }
}

/// A barrier that calls pass while it is open.
pub struct Gate {
    closed: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
}

impl Gate {
    /// Makes calls that arrive from now on wait.
    pub fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Lets all waiting and later calls pass.
    pub fn open(&self) {
        self.closed.send_replace(false);
    }

    /// Waits until `calls` calls are waiting here.
    pub async fn arrived(&self, calls: usize) {
        // Fails only if the sender is gone, and `self` holds it.
        let _ = self.waiting.subscribe().wait_for(|waiting| *waiting >= calls).await;
    }

    async fn pass(&self) {
        let mut closed = self.closed.subscribe();
        if !*closed.borrow() {
            return;
        }
        self.waiting.send_modify(|waiting| *waiting += 1);
        let _ = closed.wait_for(|closed| !closed).await;
        self.waiting.send_modify(|waiting| *waiting -= 1);
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self { closed: watch::Sender::new(false), waiting: watch::Sender::new(0) }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("closed", &*self.closed.borrow()).finish_non_exhaustive()
    }
}
