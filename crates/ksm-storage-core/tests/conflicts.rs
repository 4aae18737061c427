//! Conflicts that reveal the fate of a store, and their use by a handle.
#![allow(missing_docs, clippy::unwrap_used, reason = "these are tests")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use ksm_storage_core::{
    Capabilities,
    ConfigKey::{Hostname, Url},
    ConfigStorage, Displaced, Error, ExposeSecret, Location, Payload, Result, StorageBackend, StoreOutcome,
    Stored, Verification, Version, Writes,
};
use ksm_storage_memory::MemoryBackend;
use ksm_storage_testkit::{Probe, StoreFault};

/// A backend whose first store reports a conflict but takes effect nevertheless.
#[derive(Debug)]
struct AppliedAfterAll {
    inner: MemoryBackend,
    stores: AtomicUsize,
}

impl AppliedAfterAll {
    fn new() -> Self {
        Self { inner: MemoryBackend::from_config("{}"), stores: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl StorageBackend for AppliedAfterAll {
    fn location(&self) -> Location {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn load(&self) -> Result<Stored> {
        self.inner.load().await
    }

    async fn confirm(&self, version: &Version) -> Result<bool> {
        self.inner.confirm(version).await
    }

    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        if self.stores.fetch_add(1, Ordering::SeqCst) > 0 {
            return self.inner.store(expected, payload).await;
        }
        self.inner.overwrite(Some(r#"{"url":"stored"}"#.into()));
        let version = self.inner.load().await?.version().clone();
        Ok(StoreOutcome::Conflict { current: None, applied_if: vec![Version::new("other"), version] })
    }
}

#[tokio::test]
async fn change_found_applied_is_not_repeated() {
    let probe = Probe::new(Arc::new(AppliedAfterAll::new()));
    let storage = ConfigStorage::open(probe.clone()).await.unwrap();
    assert_eq!(storage.snapshot().verification(), Verification::Conclusive);
    storage.set(Url, "mine").await.unwrap();
    // The load to open, the first attempt, and the second attempt, which finds the result of the first.
    assert_eq!(probe.calls(), (3, 1));
    assert_eq!(storage.get(Url).unwrap().expose_secret(), "stored");
    assert_eq!(storage.snapshot().verification(), Verification::Inconclusive);
}

#[tokio::test]
async fn only_that_attempt_is_applied() {
    let storage = ConfigStorage::open(AppliedAfterAll::new()).await.unwrap();
    // The first attempt of the second change has nothing to do, but its second attempt has.
    let hostname = storage.update(|document| {
        if document.contains(Url) {
            document.set(Hostname, "h");
        }
        Ok::<_, Error>(())
    });
    let (hostname, url) = tokio::join!(hostname, storage.set(Url, "mine"));
    hostname.unwrap();
    url.unwrap();
    let snapshot = storage.snapshot();
    assert_eq!(snapshot.get(Url).unwrap().expose_secret(), "stored");
    assert_eq!(snapshot.get(Hostname).unwrap().expose_secret(), "h");
}

/// A backend on which another writer wins twice. Then the first of our stores, which was late, takes effect.
#[derive(Debug)]
struct LateFirst {
    loads: AtomicUsize,
    stores: AtomicUsize,
}

#[async_trait]
impl StorageBackend for LateFirst {
    fn location(&self) -> Location {
        Location::new("late", "1")
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Writes::Exact)
    }

    async fn load(&self) -> Result<Stored> {
        let name = ["opened", "opened", "other", "ours-1"][self.loads.fetch_add(1, Ordering::SeqCst)];
        Ok(Stored::present(Version::new(name), r#"{"url":"u"}"#))
    }

    async fn confirm(&self, _: &Version) -> Result<bool> {
        Ok(true)
    }

    async fn store(&self, _: &Version, _: &Payload) -> Result<StoreOutcome> {
        let number = self.stores.fetch_add(1, Ordering::SeqCst) + 1;
        let applied_if = vec![Version::new(format!("ours-{number}"))];
        Ok(StoreOutcome::Conflict { current: None, applied_if })
    }
}

#[tokio::test(start_paused = true)]
async fn result_belongs_to_the_applied_attempt() {
    let storage = ConfigStorage::open(LateFirst { loads: AtomicUsize::new(0), stores: AtomicUsize::new(0) });
    let storage = storage.await.unwrap();
    let mut attempts = 0;
    let result = storage.update(move |document| {
        attempts += 1;
        document.set(Url, attempts.to_string());
        Ok::<_, Error>(attempts)
    });
    assert_eq!(result.await.unwrap(), 1);
    assert_eq!(*storage.snapshot().version(), Version::new("ours-1"));
}

/// Counts the loads that are confirmed.
#[derive(Clone, Debug)]
struct Confirmed {
    inner: Arc<MemoryBackend>,
    confirmations: Arc<AtomicUsize>,
}

#[async_trait]
impl StorageBackend for Confirmed {
    fn location(&self) -> Location {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn load(&self) -> Result<Stored> {
        self.inner.load().await
    }

    async fn confirm(&self, version: &Version) -> Result<bool> {
        self.confirmations.fetch_add(1, Ordering::SeqCst);
        self.inner.confirm(version).await
    }

    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        self.inner.store(expected, payload).await
    }
}

#[tokio::test]
async fn only_acknowledged_writes_confirm_loads() {
    let inner = Arc::new(MemoryBackend::from_config(r#"{"url":"u"}"#));
    let backend = Confirmed { inner, confirmations: Arc::default() };
    let confirmations = || backend.confirmations.load(Ordering::SeqCst);
    let storage = ConfigStorage::open_or_create(backend.clone()).await.unwrap();
    storage.refresh().await.unwrap();
    storage.update(|_| Err::<(), _>(Error::refused("no"))).await.unwrap_err();
    storage.set(Url, "v").await.unwrap();
    assert_eq!(confirmations(), 0);
    storage.set(Url, "v").await.unwrap();
    assert_eq!(confirmations(), 1);
    storage.delete(Hostname).await.unwrap();
    assert_eq!(confirmations(), 2);
}

#[tokio::test]
async fn inconclusive_check_shows_on_snapshot() {
    let probe = Probe::new(Arc::new(MemoryBackend::from_config("{}")));
    let storage = ConfigStorage::open(probe.clone()).await.unwrap();
    probe.fail_stores([StoreFault::Displaced(Displaced::Unverified)]);
    storage.set(Url, "u").await.unwrap();
    assert_eq!(storage.snapshot().verification(), Verification::Inconclusive);
    // The verification belongs to the version, which is still current.
    assert_eq!(storage.refresh().await.unwrap().verification(), Verification::Inconclusive);
    storage.set(Url, "v").await.unwrap();
    assert_eq!(storage.snapshot().verification(), Verification::Conclusive);
}
