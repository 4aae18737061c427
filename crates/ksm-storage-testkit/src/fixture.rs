use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use ksm_storage_core::{Payload, StorageBackend};

use crate::{Condition, FaultRates, FaultyBackend, NotOffered, TestClock};

/// A kind of backend, as the suite wants to have it.
#[async_trait]
pub trait Fixture: Send + Sync + 'static {
    /// The name in reports.
    fn name(&self) -> String;

    /// A store of its own for one case, with nothing stored in it. Dropping it cleans up.
    async fn fresh(&self) -> Box<dyn Store>;
}

/// One store of a backend.
#[async_trait]
pub trait Store: Send + Sync {
    /// One more backend on this store, as another process would open it: it shares the store and nothing else.
    async fn open(&self) -> Arc<dyn StorageBackend>;

    /// Stores `payload`, or removes what is stored, past the backend: what a program that knows nothing of it does.
    async fn write(&self, payload: Option<Payload>);

    /// The stored content, past the backend and without its framing, if it has any.
    async fn read(&self) -> Option<Payload>;

    /// The expectations on this store.
    fn limits(&self) -> Limits {
        Limits::default()
    }

    /// The address at which backends reach this store over TCP, if they do.
    ///
    /// With it and [`open_at`](Self::open_at), a [`Proxy`](crate::Proxy) provides every [`Condition`].
    fn address(&self) -> Option<SocketAddr> {
        None
    }

    /// One more backend, as [`open`](Self::open) returns it, which reaches the store at `address`.
    async fn open_at(&self, _address: SocketAddr) -> Option<Arc<dyn StorageBackend>> {
        None
    }

    /// Brings the store into `condition` until [`restore`](Self::restore). It outranks the proxy.
    ///
    /// # Errors
    /// If the fixture cannot: the cases that need the condition are then not checked, unless the proxy provides it.
    async fn impose(&self, _condition: Condition) -> Result<(), NotOffered> {
        Err(NotOffered)
    }

    /// Ends the condition that [`impose`](Self::impose) has brought about. The content is what it was, plus what was
    /// stored meanwhile.
    async fn restore(&self) {}

    /// Removes not only what is stored, as `write(None)` does, but what holds it: the secret, the table, the folder.
    ///
    /// # Errors
    /// If the fixture cannot, or nothing holds it.
    async fn remove(&self) -> Result<(), NotOffered> {
        Err(NotOffered)
    }

    /// Creates anew what [`remove`](Self::remove) has removed, under the same name, with nothing stored in it.
    async fn recreate(&self) {}

    /// Credentials of the backend, of six characters or more: they must be shown nowhere, as payloads must not.
    fn credentials(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The expectations on a store.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Time limit of one load or store.
    pub call: Duration,
    /// The time after an acknowledged store in which a load may return the previous content. Zero for fresh reads.
    pub staleness: Duration,
    /// The number of random programs in each case that runs any. A slow store needs fewer.
    pub programs: u32,
}

impl Default for Limits {
    /// Five seconds a call, fresh reads, and 48 programs.
    fn default() -> Self {
        Self { call: Duration::from_secs(5), staleness: Duration::ZERO, programs: 48 }
    }
}

/// A fixture whose backends let other tasks go first at random, before they have an effect and after it: no case may
/// notice.
pub struct Delayed(Arc<dyn Fixture>);

impl Delayed {
    /// The same stores, through a [`FaultyBackend`] with [`FaultRates::DELAYS`].
    pub fn new(fixture: impl Fixture) -> Self {
        Self(Arc::new(fixture))
    }
}

#[async_trait]
impl Fixture for Delayed {
    fn name(&self) -> String {
        format!("{}, with delays", self.0.name())
    }

    async fn fresh(&self) -> Box<dyn Store> {
        Box::new(DelayedStore(self.0.fresh().await))
    }
}

struct DelayedStore(Box<dyn Store>);

#[async_trait]
impl Store for DelayedStore {
    async fn open(&self) -> Arc<dyn StorageBackend> {
        let clock = Arc::new(TestClock::new());
        Arc::new(FaultyBackend::new(self.0.open().await, clock, FaultRates::DELAYS, fastrand::u64(..)))
    }

    async fn write(&self, payload: Option<Payload>) {
        self.0.write(payload).await;
    }

    async fn read(&self) -> Option<Payload> {
        self.0.read().await
    }

    fn limits(&self) -> Limits {
        self.0.limits()
    }

    async fn impose(&self, condition: Condition) -> Result<(), NotOffered> {
        self.0.impose(condition).await
    }

    async fn restore(&self) {
        self.0.restore().await;
    }

    async fn remove(&self) -> Result<(), NotOffered> {
        self.0.remove().await
    }

    async fn recreate(&self) {
        self.0.recreate().await;
    }

    fn credentials(&self) -> Vec<String> {
        self.0.credentials()
    }
}

#[async_trait]
impl Fixture for Arc<dyn Fixture> {
    fn name(&self) -> String {
        (**self).name()
    }

    async fn fresh(&self) -> Box<dyn Store> {
        (**self).fresh().await
    }
}
