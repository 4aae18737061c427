//! Properties of a handle, and its pauses.
#![allow(missing_docs, clippy::unwrap_used, reason = "these are tests")]

use std::{
    fmt,
    future::Future,
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use async_trait::async_trait;
use ksm_storage_core::{
    BindState, Capabilities, Clock, ConfigDocument,
    ConfigKey::{Bat, Url},
    ConfigStorage, Displaced, Error, ErrorKind, ExposeSecret, Location, OpenOptions, Outcome, Payload,
    Result, StorageBackend, StoreOutcome, Stored, Version, Writes, blocking,
};
use ksm_storage_memory::MemoryBackend;
use ksm_storage_testkit::{LoadFault, Probe, StoreFault, TestClock};

#[test]
fn both_handles_describe_the_store() {
    let backend = MemoryBackend::from_config("{}");
    let location = backend.location();
    let storage = blocking::ConfigStorage::open(backend).unwrap();
    assert!(storage.is_empty() && !storage.contains(Url) && storage.get(Url).is_none());
    assert_eq!((storage.location(), storage.bind_state()), (location.clone(), BindState::Empty));
    assert_eq!(storage.capabilities().writes, Writes::Exact);
    storage.set(Url, "s3cret").unwrap();
    assert!(!storage.is_empty() && storage.contains(Url) && !storage.contains(Bat));
    let shown = format!("{storage:?}");
    assert!(shown.contains("url: 6 bytes") && shown.starts_with("blocking::ConfigStorage("), "{shown}");
    assert!(storage.delete(Url).unwrap() && !storage.delete(Url).unwrap());

    let storage = storage
        .run_async(|storage| async move {
            storage.set(Url, "s3cret").await?;
            Ok::<_, Error>(storage)
        })
        .unwrap()
        .unwrap();
    assert!(!storage.is_empty() && storage.contains(Url) && !storage.contains(Bat));
    assert_eq!((storage.location(), storage.capabilities().writes), (location, Writes::Exact));
    let (value, shown) = (storage.get(Url).unwrap(), format!("{storage:?}"));
    assert_eq!(format!("{value:?}"), "SecretRef(url: 6 bytes)");
    assert!(shown.contains("read_only: false") && shown.contains("url: 6 bytes"), "{shown}");
}

/// A change must not wait for its own handle, as [`run_async`](blocking::ConfigStorage::run_async) would.
#[test]
fn change_cannot_use_blocking_handle() {
    let open = || blocking::ConfigStorage::open(MemoryBackend::from_config("{}")).unwrap();
    for (own, other) in [(open(), None), (open(), Some(open()))] {
        let inner = other.unwrap_or_else(|| own.clone());
        let nested = move |_: &mut _| inner.run_async(|_| async {}).map(drop);
        assert_eq!(own.update(nested).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
}

/// More calls than Tokio's cooperative budget allows between two awaits.
fn call_often() {
    let opening =
        ConfigStorage::builder(MemoryBackend::from_config("{}")).deadline(Duration::from_secs(5)).open();
    let storage = blocking::ConfigStorage::open_with(opening).unwrap();
    for n in 0..200 {
        let value = n.to_string();
        storage.set(Url, value.clone()).unwrap();
        assert_eq!(storage.get(Url).unwrap().expose_secret(), value);
    }
    // The deadline does not limit their number.
    for _ in 0..200 {
        storage.run_async(|_| async {}).unwrap();
    }
}

#[tokio::test]
async fn many_blocking_calls_on_current_thread() {
    call_often();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn many_blocking_calls_on_worker() {
    tokio::spawn(async { call_often() }).await.unwrap();
}

#[tokio::test]
async fn change_may_use_other_handles() {
    let [one, other] = ["{}"; 2].map(|json| ConfigStorage::open(MemoryBackend::from_config(json)));
    let (one, other) = (one.await.unwrap(), other.await.unwrap());
    let mut handles = [one.clone(), other];
    let refused = one.update(move |_| {
        Ok::<_, Error>(handles.each_mut().map(|storage| {
            let mut call = Box::pin(storage.refresh());
            match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(result) => Some(result.unwrap_err().kind()),
                Poll::Pending => None,
            }
        }))
    });
    assert_eq!(refused.await.unwrap(), [Some(ErrorKind::InvalidArgument), None]);
}

#[tokio::test]
async fn refresh_replaces_only_outdated_snapshot() {
    let backend = MemoryBackend::from_config(r#"{"url":"u"}"#);
    let storage = ConfigStorage::open(backend.clone()).await.unwrap();
    let text = |snapshot: &ksm_storage_core::Snapshot| snapshot.get(Url).unwrap().expose_secret().as_ptr();
    let before = storage.snapshot();
    assert_eq!(text(&storage.refresh().await.unwrap()), text(&before));
    // Stores the same document again.
    backend.overwrite(backend.read());
    let after = storage.refresh().await.unwrap();
    assert_eq!(*after.version(), backend.load().await.unwrap().version().clone());
    assert_ne!(after.version(), before.version());
    assert_eq!(storage.snapshot().version(), after.version());
}

/// A clock that records each sleep.
#[derive(Clone, Debug)]
struct Sleeps(TestClock, Arc<Mutex<Vec<Duration>>>);

impl Sleeps {
    fn new() -> Self {
        Self(TestClock::new(), Arc::default())
    }

    fn in_millis(&self) -> Vec<u128> {
        self.1.lock().unwrap().iter().map(Duration::as_millis).collect()
    }
}

#[async_trait]
impl Clock for Sleeps {
    fn now(&self) -> Duration {
        self.0.now()
    }

    async fn sleep(&self, duration: Duration) {
        self.1.lock().unwrap().push(duration);
        self.0.sleep(duration).await;
    }

    async fn alarm(&self, instant: Duration) {
        self.0.alarm(instant).await;
    }

    fn random(&self) -> u64 {
        self.0.random()
    }
}

async fn open_with(backend: impl StorageBackend, clock: &Sleeps, attempts: u32) -> ConfigStorage {
    let attempts = NonZeroU32::new(attempts).unwrap();
    ConfigStorage::builder(backend).clock(clock.clone()).write_attempts(attempts).open().await.unwrap()
}

#[tokio::test]
async fn conflicts_are_followed_by_pauses() {
    let (clock, probe) = (Sleeps::new(), Probe::new(Arc::new(MemoryBackend::from_config("{}"))));
    let storage = open_with(probe.clone(), &clock, 3).await;
    probe.fail_stores(vec![StoreFault::Conflict; 3]);
    let error = storage.set(Url, "u").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Conflict, Outcome::NotApplied));
    assert_eq!(probe.calls(), (4, 3));
    let pauses = clock.in_millis();
    assert!(matches!(pauses[..], [10..20, 20..40]), "{pauses:?}");
}

/// A backend with a hook before every store, which may answer in its place.
struct Before<F>(MemoryBackend, F);

impl<F> fmt::Debug for Before<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Before")
    }
}

#[async_trait]
impl<F: Fn(&MemoryBackend) -> Option<StoreOutcome> + Send + Sync + 'static> StorageBackend for Before<F> {
    fn location(&self) -> Location {
        self.0.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn load(&self) -> Result<Stored> {
        self.0.load().await
    }

    async fn confirm(&self, version: &Version) -> Result<bool> {
        self.0.confirm(version).await
    }

    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        match self.1(&self.0) {
            Some(outcome) => Ok(outcome),
            None => self.0.store(expected, payload).await,
        }
    }
}

/// A load may return an older version than an earlier conflict did. Only a conflict without a preceding load is
/// followed by a pause.
#[tokio::test]
async fn carried_version_replaces_next_load() {
    for (rivals, loads, pauses) in [(1, 2, 0), (2, 3, 1), (3, 3, 1), (4, 4, 2)] {
        let (clock, stores) = (Sleeps::new(), AtomicUsize::new(0));
        let rival = move |backend: &MemoryBackend| {
            if stores.fetch_add(1, Ordering::SeqCst) < rivals {
                backend.overwrite(Some("{}".into()));
            }
            None
        };
        let probe = Probe::new(Arc::new(Before(MemoryBackend::from_config("{}"), rival)));
        let storage = open_with(probe.clone(), &clock, 16).await;
        storage.set(Url, "u").await.unwrap();
        assert_eq!((probe.calls(), clock.in_millis().len()), ((loads, rivals + 1), pauses));
    }
}

#[tokio::test]
async fn conflict_with_older_version_is_ignored() {
    let backend = MemoryBackend::from_config("{}");
    let (old, stores) = (backend.load().await.unwrap(), AtomicUsize::new(0));
    let stale = move |_: &MemoryBackend| {
        let second = stores.fetch_add(1, Ordering::SeqCst) == 1;
        second.then(|| StoreOutcome::conflict(old.clone()))
    };
    let probe = Probe::new(Arc::new(Before(backend, stale)));
    let storage = ConfigStorage::open(probe.clone()).await.unwrap();
    storage.set(Url, "u").await.unwrap();
    let (loads, stores) = probe.calls();
    storage.set(Bat, "b").await.unwrap();
    assert_eq!(probe.calls(), (loads + 2, stores + 2));
    assert!(storage.contains(Url) && storage.contains(Bat));
}

#[tokio::test]
async fn stale_loads_retry_until_deadline() {
    let (clock, probe) = (Sleeps::new(), Probe::new(Arc::new(MemoryBackend::from_config("{}"))));
    let storage = open_with(probe.clone(), &clock, 16).await;
    let old = probe.load().await.unwrap();
    storage.set(Url, "u").await.unwrap();
    probe.fail_loads(vec![LoadFault::Return(old); 50]);
    let error = storage.refresh().await.unwrap_err();
    assert_eq!((error.kind(), error.location()), (ErrorKind::Timeout, Some(&storage.location())));
    let pauses = clock.in_millis();
    assert!(matches!(pauses[..], [10..20, 20..40, 40..80, 80..160, 160..320, ..]), "{pauses:?}");
    assert!(clock.now() >= Duration::from_secs(15));
}

#[tokio::test]
async fn longest_document_is_stored() {
    let storage = ConfigStorage::open(MemoryBackend::from_config("{}")).await.unwrap();
    let mut document = ConfigDocument::new();
    document.set(Url, "");
    let room = ConfigDocument::MAX_LEN - document.encoded_len();
    storage.set(Url, "x".repeat(room)).await.unwrap();
    let error = storage.set(Url, "x".repeat(room + 1)).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::TooLarge, Outcome::NotApplied));
    assert_eq!(storage.snapshot().document().encoded_len(), ConfigDocument::MAX_LEN);
}

#[tokio::test]
async fn only_writers_learn_of_displacement() {
    let probe = Probe::new(Arc::new(MemoryBackend::from_config("{}")));
    let storage = ConfigStorage::open(probe.clone()).await.unwrap();
    probe.stores().close();
    let call = |key| {
        let storage = storage.clone();
        tokio::spawn(async move { storage.set(key, "v").await })
    };
    let first = call(Url);
    probe.stores().arrived(1).await;
    // One batch with a call that changes the document, and two that do not.
    let (second, same, refresh) = (call(Bat), call(Url), storage.refresh());
    let foreign = Displaced::Foreign { version: Version::new("f"), inspect: Some("look".into()) };
    probe.fail_stores([StoreFault::Displaced(Displaced::Nothing), StoreFault::Displaced(foreign)]);
    let mut refresh = Box::pin(refresh);
    tokio::select! {
        biased;
        _ = &mut refresh => unreachable!("the gate is closed"),
        () = tokio::task::yield_now() => {}
    }
    probe.stores().open();
    first.await.unwrap().unwrap();
    same.await.unwrap().unwrap();
    assert!(refresh.await.unwrap().contains(Bat));
    let error = second.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Displaced, Outcome::Applied));
    assert_eq!(error.displaced(), Some(&Version::new("f")));
    assert_eq!(error.location(), Some(&storage.location()));
    assert!(error.to_string().ends_with("to see what was displaced: look"), "{error}");
    assert_eq!(probe.calls().1, 2);
}

#[tokio::test]
async fn options_keep_a_storage_read_only() {
    let backend = MemoryBackend::from_config("{}");
    let builder = ConfigStorage::builder(backend).read_only().options(OpenOptions::default());
    let error = builder.open().await.unwrap().set(Url, "u").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::ReadOnly, Outcome::NotApplied));
}
