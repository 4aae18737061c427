use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use ksm_storage_core::{Payload, StorageBackend};

use crate::{Condition, FaultRates, FaultyBackend, NotOffered, TestClock};

/// A kind of backend, as the suite needs to see it.
#[async_trait]
pub trait Fixture: Send + Sync + 'static {
    /// The name in reports.
    fn name(&self) -> String;

    /// A separate, empty store for one case. Dropping it cleans up.
    async fn fresh(&self) -> Box<dyn Store>;
}

/// One store of a backend.
#[async_trait]
pub trait Store: Send + Sync {
    /// Opens another backend on this store, as another process would: it shares nothing but the store.
    async fn open(&self) -> Arc<dyn StorageBackend>;

    /// Stores `payload`, or removes the content, bypassing the backend as a foreign program would.
    async fn write(&self, payload: Option<Payload>);

    /// The stored content, read without the backend, and without framing.
    async fn read(&self) -> Option<Payload>;

    /// The expectations of this store.
    fn limits(&self) -> Limits {
        Limits::default()
    }

    /// The TCP address at which backends reach this store, if they do.
    ///
    /// Together with [`open_at`](Self::open_at), it lets a [`Proxy`](crate::Proxy) provide every [`Condition`].
    fn address(&self) -> Option<SocketAddr> {
        None
    }

    /// Opens another backend like [`open`](Self::open), which reaches the store at `address`.
    async fn open_at(&self, _address: SocketAddr) -> Option<Arc<dyn StorageBackend>> {
        None
    }

    /// Imposes `condition` on the store until [`restore`](Self::restore). Takes precedence over the proxy.
    ///
    /// # Errors
    /// [`NotOffered`] if the fixture cannot: cases that need the condition are then not checked, unless the proxy
    /// provides it.
    async fn impose(&self, _condition: Condition) -> Result<(), NotOffered> {
        Err(NotOffered)
    }

    /// Ends the condition set by [`impose`](Self::impose). The content is as before, plus whatever was stored
    /// meanwhile.
    async fn restore(&self) {}

    /// Removes the container of the content (the secret, table or folder), while `write(None)` removes only the
    /// content.
    ///
    /// # Errors
    /// [`NotOffered`] if the fixture cannot, or if there is no container.
    async fn remove(&self) -> Result<(), NotOffered> {
        Err(NotOffered)
    }

    /// Recreates what [`remove`](Self::remove) has removed, empty and under the same name.
    async fn recreate(&self) {}

    /// Credentials of the backend, of at least six characters each. Like payloads, they must not appear anywhere.
    fn credentials(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The expectations of a store.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Time limit of one load or store.
    pub call: Duration,
    /// Maximum time after an acknowledged store in which a load may return the previous content. Zero for fresh reads.
    pub staleness: Duration,
    /// The number of random programs per case. A slow store needs fewer.
    pub programs: u32,
}

impl Default for Limits {
    /// Five seconds per call, fresh reads, and 48 programs.
    fn default() -> Self {
        Self { call: Duration::from_secs(5), staleness: Duration::ZERO, programs: 48 }
    }
}

/// Wraps a fixture so that its backends yield to other tasks at random, before and after their calls take effect. Every
/// case must pass with and without it.
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
