//! Scheduled refreshes in virtual time.
#![allow(missing_docs, clippy::unwrap_used, reason = "these are tests")]

use std::{sync::Arc, time::Duration};

use ksm_storage_core::{ConfigKey::Url, ConfigStorage, Error, ErrorKind, Outcome, blocking};
use ksm_storage_memory::MemoryBackend;
use ksm_storage_testkit::{LoadFault, Probe};
use tokio::time::{advance, sleep};

const PERIOD: Duration = Duration::from_mins(5);

fn world() -> (MemoryBackend, Probe) {
    let backend = MemoryBackend::from_config(r#"{"url":"first"}"#);
    (backend.clone(), Probe::new(Arc::new(backend)))
}

#[tokio::test(start_paused = true)]
async fn each_period_costs_one_load() {
    let (backend, probe) = world();
    let storage = ConfigStorage::open(probe.clone()).await.unwrap();
    storage.keep_fresh(PERIOD).unwrap();
    for period in 1..=10 {
        sleep(PERIOD).await;
        assert_eq!(probe.calls(), (1 + period, 0));
    }
    let value = || storage.get(Url).unwrap().expose_secret().to_owned();
    backend.overwrite(Some(r#"{"url":"second"}"#.into()));
    assert_eq!(value(), "first");
    sleep(PERIOD).await;
    assert_eq!(value(), "second");
}

#[tokio::test(start_paused = true)]
async fn second_call_replaces_the_task() {
    let (_, probe) = world();
    let storage = ConfigStorage::open(probe.clone()).await.unwrap();
    for _ in 0..5 {
        storage.keep_fresh(PERIOD).unwrap();
    }
    storage.keep_fresh(4 * PERIOD).unwrap();
    sleep(8 * PERIOD).await;
    assert_eq!(probe.calls(), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn task_ends_with_the_last_handle() {
    let (_, probe) = world();
    let storage = ConfigStorage::open(probe.clone()).await.unwrap();
    let (clone, mut changes) = (storage.clone(), storage.changes());
    storage.keep_fresh(PERIOD).unwrap();
    drop(storage);
    sleep(PERIOD).await;
    assert_eq!(probe.calls(), (2, 0), "a clone is left");
    let metrics = tokio::runtime::Handle::current().metrics();
    assert_eq!(metrics.num_alive_tasks(), 1);
    drop(clone);
    tokio::task::yield_now().await;
    assert_eq!(metrics.num_alive_tasks(), 0, "at once, not a period later");
    assert_eq!(changes.next().await, None);
    sleep(3 * PERIOD).await;
    assert_eq!(probe.calls(), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn last_handle_may_end_during_refresh() {
    let (_, probe) = world();
    let storage = ConfigStorage::open(probe.clone()).await.unwrap();
    storage.keep_fresh(PERIOD).unwrap();
    probe.fail_loads([LoadFault::Hang]);
    sleep(PERIOD).await;
    assert_eq!(probe.calls().0, 2);
    drop(storage);
    // The deadline of the refresh.
    advance(Duration::from_secs(16)).await;
    sleep(3 * PERIOD).await;
    assert_eq!(probe.calls().0, 2);
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn failed_refresh_leaves_the_snapshot() {
    let (backend, probe) = world();
    let storage = ConfigStorage::open(probe.clone()).await.unwrap();
    let mut changes = storage.changes();
    storage.keep_fresh(PERIOD).unwrap();
    let before = storage.snapshot();
    probe.fail_loads([LoadFault::Fail(Error::new(ErrorKind::Unavailable, "down"))]);
    sleep(PERIOD).await;
    backend.overwrite(Some("no document".into()));
    sleep(PERIOD).await;
    assert_eq!((probe.calls().0, storage.snapshot().version()), (3, before.version()));
    backend.overwrite(Some("{}".into()));
    let version = changes.next().await.unwrap();
    assert!(storage.is_empty() && *storage.snapshot().version() == version);
}

#[tokio::test(start_paused = true)]
async fn programs_that_start_together_refresh_apart() {
    let (_, probe) = world();
    let mut storages = Vec::new();
    for _ in 0..100 {
        let storage = ConfigStorage::open(probe.clone()).await.unwrap();
        storage.keep_fresh(PERIOD).unwrap();
        storages.push(storage);
    }
    let mut seen = probe.calls().0;
    for _ in 0..10 {
        sleep(PERIOD / 10).await;
        let now = probe.calls().0;
        assert!(now - seen < 30, "{} of 100 in a tenth of the period", now - seen);
        seen = now;
    }
    assert_eq!(seen, 200);
}

#[tokio::test(start_paused = true)]
async fn changes_are_told_once() {
    let (backend, probe) = world();
    let storage = ConfigStorage::open(probe).await.unwrap();
    let mut changes = storage.changes();
    storage.refresh().await.unwrap();
    assert!(tokio::time::timeout(PERIOD, changes.next()).await.is_err(), "the same version");
    storage.set(Url, "own").await.unwrap();
    backend.overwrite(Some("{}".into()));
    storage.refresh().await.unwrap();
    assert_eq!(changes.next().await.as_ref(), Some(storage.snapshot().version()), "the latest");
    assert!(tokio::time::timeout(PERIOD, changes.next()).await.is_err());
}

#[test]
fn blocking_handle_is_kept_fresh() {
    let (backend, probe) = world();
    let storage = blocking::ConfigStorage::open(probe).unwrap();
    let mut changes = storage.changes();
    storage.keep_fresh(Duration::from_millis(5)).unwrap();
    backend.overwrite(Some("{}".into()));
    assert_eq!(changes.next().transpose().unwrap().as_ref(), Some(storage.snapshot().version()));
    assert!(storage.is_empty());
    drop(storage);
    assert!(changes.next().is_none());
}

#[tokio::test]
async fn impossible_periods_are_refused() {
    let (_, probe) = world();
    let storage = ConfigStorage::open(probe.clone()).await.unwrap();
    let error = storage.keep_fresh(Duration::ZERO).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::InvalidArgument, Outcome::NotApplied));
    assert!(error.to_string().contains("zero"), "{error}");
    storage.keep_fresh(Duration::MAX).unwrap();
    let outside = std::thread::spawn(move || storage.keep_fresh(PERIOD).unwrap_err().kind());
    assert_eq!(outside.join().unwrap(), ErrorKind::Runtime);
}
