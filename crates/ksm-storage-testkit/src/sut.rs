use std::{fmt, sync::Arc, time::Duration};

use ksm_storage_core::{Clock, ConfigDocument, ConfigKey, Error, ErrorKind, ExposeSecret, Result};

use crate::{
    Fixture, Probe, Store, TestClock,
    handle::{AsyncCore, BlockingCore, Core, Handle, Settings},
};

/// A backend, together with the kind of storage handle to open on it.
#[derive(Clone)]
pub struct SystemUnderTest {
    /// Creates a store for each case.
    pub fixture: Arc<dyn Fixture>,
    #[doc(hidden)]
    pub core: Arc<dyn Core>,
}

impl SystemUnderTest {
    /// The backend beneath [`ConfigStorage`](ksm_storage_core::ConfigStorage).
    pub fn new(fixture: impl Fixture) -> Self {
        Self { fixture: Arc::new(fixture), core: Arc::new(AsyncCore) }
    }

    /// The backend beneath [`blocking::ConfigStorage`](ksm_storage_core::blocking::ConfigStorage).
    pub fn blocking(fixture: impl Fixture) -> Self {
        Self { fixture: Arc::new(fixture), core: Arc::new(BlockingCore) }
    }
}

impl fmt::Debug for SystemUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemUnderTest")
            .field("fixture", &self.fixture.name())
            .field("core", &self.core)
            .finish()
    }
}

/// A store with a document, a handle on it, and the instruments in between.
pub(crate) struct Bench {
    pub(crate) store: Box<dyn Store>,
    pub(crate) probe: Probe,
    pub(crate) handle: Arc<dyn Handle>,
    pub(crate) clock: TestClock,
    core: Arc<dyn Core>,
}

impl SystemUnderTest {
    /// A new store that contains `json`, opened through a probe in virtual time.
    pub(crate) async fn bench(&self, json: &str) -> Result<Bench> {
        self.bench_with(json, Settings::default()).await
    }

    pub(crate) async fn bench_with(&self, json: &str, settings: Settings) -> Result<Bench> {
        let store = self.fixture.fresh().await;
        store.write(Some(json.into())).await;
        let probe = Probe::new(store.open().await);
        let clock = settings.clock.clone().unwrap_or_default();
        let handle = self.core.open(Arc::new(probe.clone()), settings).await?;
        Ok(Bench { store, probe, handle, clock, core: Arc::clone(&self.core) })
    }
}

impl Bench {
    /// Another handle on the same store, as another process would have.
    pub(crate) async fn elsewhere(&self) -> Result<Arc<dyn Handle>> {
        self.core.open(self.store.open().await, Settings::default()).await
    }

    /// The stored document, parsed.
    pub(crate) async fn stored(&self) -> Result<ConfigDocument> {
        match self.store.read().await {
            Some(payload) => ConfigDocument::parse(payload.as_bytes()),
            None => Err(Error::new(ErrorKind::NotFound, "nothing is stored")),
        }
    }

    /// The string stored under `key`.
    pub(crate) async fn stored_value(&self, key: ConfigKey) -> Result<Option<String>> {
        Ok(self.stored().await?.get(key).map(|value| value.expose_secret().to_owned()))
    }

    /// Time since the clock was created.
    pub(crate) fn now(&self) -> Duration {
        self.clock.now()
    }
}
