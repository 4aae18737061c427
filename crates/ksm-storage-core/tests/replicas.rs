//! Opening on a replica, in virtual time.
#![allow(missing_docs, clippy::unwrap_used, reason = "these are tests")]

mod warnings;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use ksm_storage_core::{
    ConfigKey::{Bat, Url},
    ConfigStorage, Connect, Error, ErrorKind, OpenOptions, Origin, Outcome, Result, StorageBackend,
};
use ksm_storage_memory::MemoryBackend;
use ksm_storage_testkit::{LoadFault, Probe};
use tokio::time::{Instant, sleep};
use tracing::instrument::WithSubscriber;
use warnings::Warnings;

/// A store and its replicas.
#[derive(Clone, Debug)]
struct Replicated {
    store: Probe,
    backend: MemoryBackend,
    replicas: Vec<Probe>,
    /// The duration of a load from the store.
    latency: Duration,
}

#[async_trait]
impl Connect for Replicated {
    async fn connect(self: Arc<Self>, _: &OpenOptions) -> Result<Arc<dyn StorageBackend>> {
        sleep(self.latency).await;
        Ok(Arc::new(self.store.clone()))
    }

    fn replicas(&self) -> Vec<Arc<dyn Connect>> {
        self.replicas.iter().map(|replica| Arc::new(replica.clone()) as Arc<dyn Connect>).collect()
    }
}

fn probe(json: &str) -> (Probe, MemoryBackend) {
    let backend = MemoryBackend::from_config(json);
    (Probe::new(Arc::new(backend.clone())), backend)
}

fn world(faults: impl IntoIterator<Item = LoadFault>) -> Replicated {
    let ((store, backend), (replica, _)) = (probe(r#"{"url":"new"}"#), probe(r#"{"url":"old"}"#));
    store.fail_loads(faults);
    Replicated { store, backend, replicas: vec![replica], latency: Duration::ZERO }
}

fn fail(kind: ErrorKind) -> LoadFault {
    LoadFault::Fail(Error::new(kind, "on demand"))
}

fn url(storage: &ConfigStorage) -> String {
    storage.get(Url).unwrap().expose_secret().to_owned()
}

#[tokio::test(start_paused = true)]
async fn outage_opens_on_the_replica() {
    for fault in [fail(ErrorKind::Unavailable), fail(ErrorKind::Timeout), LoadFault::Hang] {
        let world = world([fault.clone()]);
        let start = Instant::now();
        let storage = ConfigStorage::open(world.clone()).await.unwrap();
        assert_eq!((url(&storage).as_str(), storage.snapshot().origin()), ("old", Origin::Replica));
        assert_eq!((world.store.calls(), world.replicas[0].calls()), ((1, 0), (1, 0)), "{fault:?}");
        // A store that fails at once causes no wait.
        assert!(start.elapsed() <= Duration::from_secs(10), "{fault:?}: {:?}", start.elapsed());
        assert!(matches!(fault, LoadFault::Hang) || start.elapsed() < Duration::from_millis(10));
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_and_absence_are_final() {
    for kind in [
        ErrorKind::AccessDenied,
        ErrorKind::NotFound,
        ErrorKind::Credentials,
        ErrorKind::InvalidArgument,
        ErrorKind::Throttled,
        ErrorKind::Unexpected,
    ] {
        let world = world([fail(kind)]);
        assert_eq!(ConfigStorage::open(world.clone()).await.unwrap_err().kind(), kind);
        assert_eq!(world.replicas[0].calls(), (0, 0), "{kind:?}");
    }
    let world = world([]);
    world.backend.overwrite(None);
    assert_eq!(ConfigStorage::open(world.clone()).await.unwrap_err().kind(), ErrorKind::NotFound);
    world.backend.overwrite(Some("no document".into()));
    assert_eq!(ConfigStorage::open(world.clone()).await.unwrap_err().kind(), ErrorKind::InvalidConfig);
    assert_eq!(world.replicas[0].calls(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn late_store_is_preferred() {
    let world = world([]);
    for (delay, asked) in [(900, 0), (1_500, 1), (9_900, 2)] {
        world.store.loads().close();
        let (store, opening) = (world.store.clone(), ConfigStorage::open(world.clone()));
        let opener = tokio::spawn(async move {
            sleep(Duration::from_millis(delay)).await;
            store.loads().open();
        });
        let storage = opening.await.unwrap();
        opener.await.unwrap();
        assert_eq!((url(&storage).as_str(), storage.snapshot().origin()), ("new", Origin::Store));
        assert_eq!(world.replicas[0].calls(), (asked, 0), "after {delay} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn late_refusal_is_final() {
    let world = world([fail(ErrorKind::AccessDenied)]);
    world.store.loads().close();
    let opening = tokio::spawn(ConfigStorage::open(world.clone()));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(world.replicas[0].calls(), (1, 0));
    world.store.loads().open();
    assert_eq!(opening.await.unwrap().unwrap_err().kind(), ErrorKind::AccessDenied);
}

#[tokio::test(start_paused = true)]
async fn time_for_the_replica_is_left() {
    let mut world = world([LoadFault::Hang]);
    world.latency = Duration::from_secs(14);
    let start = Instant::now();
    let storage = ConfigStorage::open(world).await.unwrap();
    assert_eq!(storage.snapshot().origin(), Origin::Replica);
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn replicas_are_asked_in_order() {
    let mut world = world([fail(ErrorKind::Unavailable)]);
    world.replicas.push(probe(r#"{"url":"second"}"#).0);
    world.replicas[0].fail_loads([fail(ErrorKind::AccessDenied)]);
    let storage = ConfigStorage::open(world.clone()).await.unwrap();
    assert_eq!(url(&storage), "second");
}

#[tokio::test(start_paused = true)]
async fn store_names_the_failure_of_both() {
    for (replica, words) in [
        (fail(ErrorKind::AccessDenied), "access denied"),
        (fail(ErrorKind::NotFound), "not found"),
        (LoadFault::Hang, "timed out"),
    ] {
        let world = world([fail(ErrorKind::Unavailable)]);
        world.replicas[0].fail_loads([replica]);
        let replica = world.replicas[0].location();
        let error = ConfigStorage::open(world).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::NotApplied));
        let text = error.to_string();
        assert!(text.contains(&format!("on demand; the replica {replica} failed too: {words}")), "{text}");
    }
    let world = world([fail(ErrorKind::Unavailable)]);
    let unreadable = Replicated { replicas: vec![probe("no document").0], ..world };
    assert_eq!(ConfigStorage::open(unreadable).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn replica_creates_nothing() {
    let world = world([fail(ErrorKind::Unavailable)]);
    let (empty, backend) = probe("{}");
    backend.overwrite(None);
    let world = Replicated { replicas: vec![empty.clone()], ..world };
    let error = ConfigStorage::open_or_create(world.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!((empty.calls(), world.store.calls()), ((1, 0), (1, 0)));
}

#[tokio::test(start_paused = true)]
async fn writes_and_refreshes_use_the_store() {
    let world = world([fail(ErrorKind::Unavailable), fail(ErrorKind::Unavailable)]);
    let storage = ConfigStorage::open(world.clone()).await.unwrap();
    let copy = storage.snapshot();
    let error = storage.save(&copy, copy.document().clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::ReadOnly, Outcome::NotApplied));
    assert!(error.to_string().contains("replica") && error.to_string().contains("refresh"), "{error}");
    assert_eq!(world.store.calls(), (1, 0), "refused before any I/O");

    assert_eq!(storage.refresh().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(storage.snapshot().origin(), Origin::Replica, "reads outlive the outage");
    storage.set(Bat, "b").await.unwrap();
    assert_eq!((url(&storage).as_str(), storage.snapshot().origin()), ("new", Origin::Store));
    let snapshot = storage.snapshot();
    storage.save(&snapshot, snapshot.document().clone()).await.unwrap();
    assert_eq!(world.replicas[0].calls(), (1, 0));
}

/// Both memory backends count alike, so the copy has the same version as the store.
#[tokio::test(start_paused = true)]
async fn refresh_to_same_version_changes_nothing() {
    let world = world([fail(ErrorKind::Unavailable)]);
    let storage = ConfigStorage::open(world).await.unwrap();
    let (copy, mut changes) = (storage.snapshot(), storage.changes());
    let now = storage.refresh().await.unwrap();
    assert_eq!((now.version(), now.origin()), (copy.version(), Origin::Store));
    let next = tokio::time::timeout(Duration::from_mins(1), changes.next()).await;
    assert!(next.is_err(), "{next:?}");
    storage.save(&now, now.document().clone()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_warning_is_logged() {
    let warnings = Warnings::of("");
    let world = world([fail(ErrorKind::Unavailable)]);
    ConfigStorage::open(world).with_subscriber(warnings.subscriber()).await.unwrap();
    let text = warnings.text();
    assert!(text.starts_with("message=replica: ") && text.lines().count() == 1, "{text}");
}
