//! Every asynchronous method, dropped at each of its await points and those of the work that it started.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use ksm_storage_core::{
    Capabilities, ConfigDocument,
    ConfigKey::{AppKey, ClientId, Hostname, Url},
    ConfigStorage, Error, ErrorKind, ExposeSecret, Location, Outcome, Payload, Result, StorageBackend,
    StoreOutcome, Stored, Version,
};
use ksm_storage_memory::MemoryBackend;
use ksm_storage_testkit::{Probe, StoreFault, TestClock};
use tokio::{runtime, task::yield_now, time::timeout};

const BEFORE: &str = r#"{"clientId": "id", "other": [1], "url": "old"}"#;
/// The number of times that each backend call yields before it acts, and again after.
const PAUSES: usize = 3;
/// A load and a store, with pauses before and after each.
const TURNS_OF_A_WRITE: usize = 4 * PAUSES;

/// A backend that answers after several polls.
#[derive(Debug)]
struct Slow(MemoryBackend);

async fn pause() {
    for _ in 0..PAUSES {
        yield_now().await;
    }
}

#[async_trait]
impl StorageBackend for Slow {
    fn location(&self) -> Location {
        self.0.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn load(&self) -> Result<Stored> {
        pause().await;
        let result = self.0.load().await;
        pause().await;
        result
    }

    async fn confirm(&self, version: &Version) -> Result<bool> {
        self.0.confirm(version).await
    }

    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        pause().await;
        let result = self.0.store(expected, payload).await;
        pause().await;
        result
    }
}

/// Polls up to `turns` times, and lets all other tasks run after each poll.
async fn poll_for<F: Future + ?Sized>(turns: usize, mut future: Pin<&mut F>) -> Option<F::Output> {
    for _ in 0..turns {
        let polled = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        yield_now().await;
    }
    None
}

/// Polls as [`poll_for`] does, and then drops the future.
async fn drop_after<F: Future>(turns: usize, future: F) -> Option<F::Output> {
    poll_for(turns, pin!(future)).await
}

struct World {
    storage: ConfigStorage,
    probe: Probe,
    backend: MemoryBackend,
}

impl World {
    async fn new() -> Self {
        let backend = MemoryBackend::from_config(BEFORE);
        let probe = Probe::new(Arc::new(Slow(backend.clone())));
        let storage = ConfigStorage::builder(probe.clone()).clock(TestClock::new()).open().await.unwrap();
        Self { storage, probe, backend }
    }

    fn stored(&self) -> ConfigDocument {
        ConfigDocument::parse(self.backend.read().unwrap().as_bytes()).unwrap()
    }

    /// Checks that a dropped call left all of `after` or nothing, and that the storage still works. Returns true if it
    /// left `after`.
    async fn check(&self, after: &ConfigDocument) -> bool {
        let left = timeout(Duration::from_secs(10), self.left(after)).await;
        left.expect("a later call hangs")
    }

    async fn left(&self, after: &ConfigDocument) -> bool {
        let begun = self.probe.calls().1 > 0;
        let before = ConfigDocument::parse(BEFORE.as_bytes()).unwrap();
        let read = self.storage.snapshot();
        assert!([&before, after].contains(&read.document()), "half of the change is read");
        assert!(*read.document() == before || self.stored() == *after, "read before it was stored");

        let refreshed = self.storage.refresh().await.unwrap();
        let stored = self.stored();
        assert_eq!(*refreshed.document(), stored);
        assert!([&before, after].contains(&&stored), "half of the change is stored");
        assert!(*read.document() != *after || stored == *after, "what was read is gone");
        assert!(begun || stored == before, "a trace of a call that was dropped before its store began");
        assert!(self.probe.calls().1 <= 1, "stored twice");

        self.storage.set(AppKey, "later").await.unwrap();
        assert_eq!(self.storage.get(AppKey).unwrap().expose_secret(), "later");
        let mut expected = stored.clone();
        expected.set(AppKey, "later");
        assert_eq!(self.stored(), expected, "the next change is not made on what the dropped one left");
        stored == *after
    }
}

type Call = fn(ConfigStorage) -> Pin<Box<dyn Future<Output = Result<()>>>>;

fn document(json: &str) -> ConfigDocument {
    ConfigDocument::parse(json.as_bytes()).unwrap()
}

/// Every write, and the document that it makes of [`BEFORE`].
fn writes() -> [(&'static str, Call, ConfigDocument); 6] {
    let new = r#"{"hostname": "new", "url": "new"}"#;
    [
        (
            "set",
            |storage| Box::pin(async move { storage.set(Url, "new").await }),
            document(r#"{"clientId": "id", "other": [1], "url": "new"}"#),
        ),
        (
            "delete",
            |storage| {
                Box::pin(async move { storage.delete(ClientId).await.map(|was_there| assert!(was_there)) })
            },
            document(r#"{"other": [1], "url": "old"}"#),
        ),
        ("delete_all", |storage| Box::pin(async move { storage.delete_all().await }), document("{}")),
        (
            "update",
            |storage| {
                Box::pin(async move {
                    let change = |document: &mut ConfigDocument| {
                        document.set(Url, "new");
                        document.set(Hostname, "new");
                        Ok::<_, Error>(())
                    };
                    storage.update(change).await
                })
            },
            document(r#"{"clientId": "id", "hostname": "new", "other": [1], "url": "new"}"#),
        ),
        (
            "save",
            |storage| {
                Box::pin(async move {
                    let document = document(r#"{"hostname": "new", "url": "new"}"#);
                    storage.save(&storage.snapshot(), document).await
                })
            },
            document(new),
        ),
        (
            "replace",
            |storage| {
                let document = document(r#"{"hostname": "new", "url": "new"}"#);
                Box::pin(async move { storage.replace(document).await })
            },
            document(new),
        ),
    ]
}

#[tokio::test]
async fn dropped_write_applies_at_most_once() {
    for (name, call, after) in writes() {
        let (mut made, mut turns) = (Vec::new(), 0);
        loop {
            let world = World::new().await;
            let ended = drop_after(turns, call(world.storage.clone())).await;
            made.push(world.check(&after).await);
            if let Some(result) = ended {
                result.unwrap();
                break;
            }
            turns += 1;
        }
        assert!(turns >= TURNS_OF_A_WRITE, "{name}: {turns}");
        // Dropped before its store began, the change is not made; afterwards it is.
        assert!(made.is_sorted() && made.iter().filter(|made| **made).count() > PAUSES, "{name}: {made:?}");
        assert!(made.iter().filter(|made| !**made).count() > 2 * PAUSES, "{name}: {made:?}");
    }
}

#[tokio::test]
async fn a_dropped_refresh_changes_nothing() {
    let mut turns = 0;
    loop {
        let world = World::new().await;
        let ended = drop_after(turns, world.storage.refresh()).await;
        world.check(&document(BEFORE)).await;
        if let Some(result) = ended {
            result.unwrap();
            break;
        }
        turns += 1;
    }
    assert!(turns >= 2 * PAUSES, "{turns}");
}

/// The committer continues with other queued calls.
#[tokio::test]
async fn dropped_call_delays_nobody() {
    for turns in 0..=TURNS_OF_A_WRITE {
        let world = World::new().await;
        let other = tokio::spawn({
            let storage = world.storage.clone();
            async move { storage.set(Hostname, "other").await }
        });
        drop_after(turns, world.storage.set(Url, "new")).await;
        other.await.unwrap().unwrap();
        let stored = world.stored();
        assert_eq!(stored.get(Hostname).unwrap().expose_secret(), "other");
        assert!(["old", "new"].contains(&stored.get(Url).unwrap().expose_secret()));
    }
}

/// The runtime of the first call ends, and with it the backend's store in progress.
#[test]
fn ended_runtime_reports_the_outcome() {
    let start = || runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (name, call, after) in writes() {
        let (mut outcomes, mut turns) = (Vec::new(), 0);
        loop {
            let first = start();
            let world = first.block_on(World::new());
            let mut call = call(world.storage.clone());
            let ended = first.block_on(poll_for(turns, call.as_mut()));
            drop(first);
            let second = start();
            let done = ended.is_some();
            let result = ended.unwrap_or_else(|| second.block_on(call));
            // A call that was never polled starts only now.
            let begun = turns > 0;
            let made = second
                .block_on(async { if begun { world.check(&after).await } else { world.stored() == after } });
            match &result {
                Ok(()) => assert!(made, "{name}: acknowledged and not made"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Runtime, "{name}: {error}");
                    assert!(error.outcome() == Outcome::Unknown || !made, "{name}: {error}");
                    outcomes.push(error.outcome());
                }
            }
            if done {
                break;
            }
            turns += 1;
        }
        let count = |outcome| outcomes.iter().filter(|found| **found == outcome).count();
        assert!(count(Outcome::NotApplied) >= 2 * PAUSES, "{name}: {outcomes:?}");
        assert!(count(Outcome::Unknown) >= PAUSES, "{name}: {outcomes:?}");
    }
}

/// The error of a dropped call does not reach a later one.
#[tokio::test]
async fn dropped_call_error_reaches_nobody() {
    for turns in 0..=TURNS_OF_A_WRITE {
        let world = World::new().await;
        let lost = Error::new(ErrorKind::Unavailable, "lost").with_outcome(Outcome::Unknown);
        world.probe.fail_stores([StoreFault::ReplyLost(lost)]);
        drop_after(turns, world.storage.set(Url, "new")).await;
        let refreshed = world.storage.refresh().await;
        if world.probe.calls().1 == 0 {
            // The fault is still pending, for a store.
            refreshed.unwrap();
            continue;
        }
        // The refresh was queued during or after the dropped call's batch, so it has its own batch either way.
        assert_eq!(*refreshed.unwrap().document(), world.stored());
        world.storage.set(AppKey, "later").await.unwrap();
    }
}

#[tokio::test]
async fn a_dropped_open_leaves_nothing_behind() {
    let mut turns = 0;
    loop {
        let backend = MemoryBackend::from_config(BEFORE);
        let probe = Probe::new(Arc::new(Slow(backend.clone())));
        let ended = drop_after(turns, ConfigStorage::open(probe.clone())).await;
        let storage = ConfigStorage::open(probe.clone()).await.unwrap();
        assert_eq!(*storage.snapshot().document(), document(BEFORE));
        assert_eq!(probe.calls().1, 0);
        storage.set(AppKey, "later").await.unwrap();
        if ended.is_some() {
            break;
        }
        turns += 1;
    }
    assert!(turns >= 2 * PAUSES, "{turns}");
}

#[tokio::test]
async fn dropped_create_leaves_empty_or_nothing() {
    let (mut created, mut turns) = (Vec::new(), 0);
    loop {
        let backend = MemoryBackend::new();
        let open = || ConfigStorage::open_or_create(Slow(backend.clone()));
        let ended = drop_after(turns, open()).await;
        let stored = backend.read();
        assert!(stored.as_ref().is_none_or(|payload| document_of(payload).is_empty()));
        created.push(stored.is_some());
        let storage = open().await.unwrap();
        assert!(storage.is_empty());
        storage.set(AppKey, "later").await.unwrap();
        assert!(document_of(&backend.read().unwrap()).contains(AppKey));
        if ended.is_some() {
            break;
        }
        turns += 1;
    }
    assert!(turns >= TURNS_OF_A_WRITE && created.is_sorted(), "{turns}: {created:?}");
    assert!(created.contains(&true) && created.contains(&false));
}

fn document_of(payload: &Payload) -> ConfigDocument {
    ConfigDocument::parse(payload.as_bytes()).unwrap()
}
