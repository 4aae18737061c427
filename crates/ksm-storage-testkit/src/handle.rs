//! One interface for both kinds of storage handle, so that each case is written once.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use async_trait::async_trait;
use ksm_storage_core::{
    ConfigDocument, ConfigKey, ConfigStorage, ConfigStorageBuilder, Result, Snapshot, StorageBackend,
    blocking,
};

use crate::TestClock;

/// A change to the whole document. Returns what it saw.
pub type Change = Box<dyn FnMut(&mut ConfigDocument) -> Result<String> + Send>;

/// A storage handle of either kind, as used by the cases of core clauses.
#[async_trait]
#[expect(missing_docs, reason = "each method is the one of this name of `ConfigStorage`")]
pub trait Handle: fmt::Debug + Send + Sync {
    fn snapshot(&self) -> Snapshot;
    fn another(&self) -> Arc<dyn Handle>;
    fn get(&self, key: ConfigKey) -> Option<String>;
    async fn set(&self, key: ConfigKey, value: &str) -> Result<()>;
    async fn delete(&self, key: ConfigKey) -> Result<bool>;
    async fn delete_all(&self) -> Result<()>;
    async fn update(&self, change: Change) -> Result<String>;
    async fn save(&self, base: &Snapshot, document: ConfigDocument) -> Result<()>;
    async fn replace(&self, document: ConfigDocument) -> Result<()>;
    async fn refresh(&self) -> Result<Snapshot>;
}

/// Options for opening a handle.
#[derive(Clone, Debug)]
pub struct Settings {
    /// See [`ConfigStorageBuilder::write_attempts`].
    pub attempts: u32,
    /// See [`ConfigStorageBuilder::deadline`].
    pub deadline: Duration,
    /// See [`ConfigStorageBuilder::read_only`].
    pub read_only: bool,
    /// Virtual time, or `None` for real time.
    pub clock: Option<TestClock>,
}

impl Default for Settings {
    /// Core's default limits, in virtual time.
    fn default() -> Self {
        Self {
            attempts: 16,
            deadline: Duration::from_secs(15),
            read_only: false,
            clock: Some(TestClock::new()),
        }
    }
}

impl Settings {
    /// A builder with these settings.
    pub fn builder(self, backend: Arc<dyn StorageBackend>) -> ConfigStorageBuilder {
        let attempts = NonZeroU32::new(self.attempts).unwrap_or(NonZeroU32::MIN);
        let mut builder = ConfigStorage::builder(backend).write_attempts(attempts).deadline(self.deadline);
        if self.read_only {
            builder = builder.read_only();
        }
        match self.clock {
            Some(clock) => builder.clock(clock),
            None => builder,
        }
    }
}

/// An implementation of core: asynchronous, blocking, or faulty.
#[async_trait]
#[expect(missing_docs, reason = "each method is the one of this name of `ConfigStorage`")]
pub trait Core: fmt::Debug + Send + Sync {
    async fn open(&self, backend: Arc<dyn StorageBackend>, settings: Settings) -> Result<Arc<dyn Handle>>;
    async fn open_or_create(
        &self,
        backend: Arc<dyn StorageBackend>,
        settings: Settings,
    ) -> Result<Arc<dyn Handle>>;
}

/// [`ConfigStorage`].
#[derive(Clone, Copy, Debug)]
pub struct AsyncCore;

#[async_trait]
impl Core for AsyncCore {
    async fn open(&self, backend: Arc<dyn StorageBackend>, settings: Settings) -> Result<Arc<dyn Handle>> {
        Ok(Arc::new(settings.builder(backend).open().await?))
    }

    async fn open_or_create(
        &self,
        backend: Arc<dyn StorageBackend>,
        settings: Settings,
    ) -> Result<Arc<dyn Handle>> {
        Ok(Arc::new(settings.builder(backend).open_or_create().await?))
    }
}

#[async_trait]
impl Handle for ConfigStorage {
    fn snapshot(&self) -> Snapshot {
        self.snapshot()
    }

    fn another(&self) -> Arc<dyn Handle> {
        Arc::new(self.clone())
    }

    fn get(&self, key: ConfigKey) -> Option<String> {
        self.get(key).map(|value| value.expose_secret().to_owned())
    }

    async fn set(&self, key: ConfigKey, value: &str) -> Result<()> {
        self.set(key, value).await
    }

    async fn delete(&self, key: ConfigKey) -> Result<bool> {
        self.delete(key).await
    }

    async fn delete_all(&self) -> Result<()> {
        self.delete_all().await
    }

    async fn update(&self, change: Change) -> Result<String> {
        self.update(change).await
    }

    async fn save(&self, base: &Snapshot, document: ConfigDocument) -> Result<()> {
        self.save(base, document).await
    }

    async fn replace(&self, document: ConfigDocument) -> Result<()> {
        self.replace(document).await
    }

    async fn refresh(&self) -> Result<Snapshot> {
        self.refresh().await
    }
}

/// [`blocking::ConfigStorage`], called on threads that may block.
#[derive(Clone, Copy, Debug)]
pub struct BlockingCore;

#[async_trait]
impl Core for BlockingCore {
    async fn open(&self, backend: Arc<dyn StorageBackend>, settings: Settings) -> Result<Arc<dyn Handle>> {
        let opening = settings.builder(backend).open();
        off_thread(move || Ok(Arc::new(blocking::ConfigStorage::open_with(opening)?) as _)).await
    }

    async fn open_or_create(
        &self,
        backend: Arc<dyn StorageBackend>,
        settings: Settings,
    ) -> Result<Arc<dyn Handle>> {
        let opening = settings.builder(backend).open_or_create();
        off_thread(move || Ok(Arc::new(blocking::ConfigStorage::open_with(opening)?) as _)).await
    }
}

async fn off_thread<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    let call = move || tracing::dispatcher::with_default(&dispatch, call);
    match tokio::task::spawn_blocking(call).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}

#[async_trait]
impl Handle for blocking::ConfigStorage {
    fn snapshot(&self) -> Snapshot {
        self.snapshot()
    }

    fn another(&self) -> Arc<dyn Handle> {
        Arc::new(self.clone())
    }

    fn get(&self, key: ConfigKey) -> Option<String> {
        self.get(key).map(|value| value.expose_secret().to_owned())
    }

    async fn set(&self, key: ConfigKey, value: &str) -> Result<()> {
        let (storage, value) = (self.clone(), value.to_owned());
        off_thread(move || storage.set(key, value)).await
    }

    async fn delete(&self, key: ConfigKey) -> Result<bool> {
        let storage = self.clone();
        off_thread(move || storage.delete(key)).await
    }

    async fn delete_all(&self) -> Result<()> {
        let storage = self.clone();
        off_thread(move || storage.delete_all()).await
    }

    async fn update(&self, change: Change) -> Result<String> {
        let storage = self.clone();
        off_thread(move || storage.update(change)).await
    }

    async fn save(&self, base: &Snapshot, document: ConfigDocument) -> Result<()> {
        let (storage, base) = (self.clone(), base.clone());
        off_thread(move || storage.save(&base, document)).await
    }

    async fn replace(&self, document: ConfigDocument) -> Result<()> {
        let storage = self.clone();
        off_thread(move || storage.replace(document)).await
    }

    async fn refresh(&self) -> Result<Snapshot> {
        let storage = self.clone();
        off_thread(move || storage.refresh()).await
    }
}
