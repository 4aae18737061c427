//! Long batches leave time for other tasks, and respect the deadlines of their calls.
#![allow(missing_docs, clippy::unwrap_used, reason = "these are tests")]

use std::{
    fmt::Write,
    future::{Future, poll_fn},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use async_trait::async_trait;
use ksm_storage_core::{Clock, ConfigDocument, ConfigKey::Url, ConfigStorage, Error, ErrorKind, Outcome};
use ksm_storage_memory::MemoryBackend;

/// A clock that advances only on request. All alarms are for the same instant.
#[derive(Clone, Debug)]
struct Ticks {
    time: Arc<Mutex<(Duration, Vec<Waker>)>>,
    deadline: Duration,
}

impl Ticks {
    fn advance(&self, duration: Duration) {
        let mut time = self.time.lock().unwrap();
        time.0 += duration;
        if time.0 >= self.deadline {
            time.1.drain(..).for_each(Waker::wake);
        }
    }
}

#[async_trait]
impl Clock for Ticks {
    fn now(&self) -> Duration {
        self.time.lock().unwrap().0
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }

    async fn alarm(&self, instant: Duration) {
        assert_eq!(instant, self.deadline);
        poll_fn(|context| {
            let mut time = self.time.lock().unwrap();
            if time.0 >= instant {
                return Poll::Ready(());
            }
            time.1.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn random(&self) -> u64 {
        1
    }
}

fn document(keys: usize) -> String {
    let mut json = String::from("{");
    (0..keys).for_each(|key| write!(json, "\"key{key}\":{key},").unwrap());
    json + "\"url\":\"u\"}"
}

/// A storage whose changes take a millisecond each, and a count of the changes that ran.
struct Slow {
    storage: ConfigStorage,
    clock: Ticks,
    runs: Arc<AtomicUsize>,
}

impl Slow {
    async fn open() -> Self {
        let clock = Ticks { time: Arc::default(), deadline: Duration::from_secs(2) };
        let backend = MemoryBackend::from_config(document(4_000));
        let opening = ConfigStorage::builder(backend).clock(clock.clone()).deadline(clock.deadline).open();
        Self { storage: opening.await.unwrap(), clock, runs: Arc::default() }
    }

    fn call(&self, value: usize) -> impl Future<Output = Result<(), Error>> + Send + 'static {
        let (storage, clock, runs) = (self.storage.clone(), self.clock.clone(), Arc::clone(&self.runs));
        let change = move |document: &mut ConfigDocument| {
            clock.advance(Duration::from_millis(1));
            runs.fetch_add(1, Ordering::Relaxed);
            document.set(Url, value.to_string());
            Ok(())
        };
        async move { storage.update(change).await }
    }

    fn assert_nothing_stored(&self) {
        assert_eq!(self.runs.load(Ordering::Relaxed), 2_000);
        assert_eq!(self.storage.get(Url).unwrap().expose_secret(), "u");
    }
}

#[tokio::test]
async fn no_call_outlives_its_deadline() {
    let slow = Slow::open().await;
    let calls: Vec<_> = (0..30_000)
        .map(|value| {
            let (call, clock) = (slow.call(value), slow.clock.clone());
            tokio::spawn(async move { (call.await, clock.now()) })
        })
        .collect();
    for call in calls {
        let (result, end) = call.await.unwrap();
        let error = result.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::NotApplied));
        assert_eq!(end, slow.clock.deadline);
    }
    slow.assert_nothing_stored();
}

/// The callers' tasks are not polled, so the committer must enforce the deadline.
#[tokio::test]
async fn calls_nobody_polls_end() {
    let slow = Slow::open().await;
    let mut calls: Vec<_> = (0..3_000).map(|value| Box::pin(slow.call(value))).collect();
    for call in &mut calls {
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    // Each turn of this task leaves the committer time for one change.
    for _ in 0..3_000 {
        tokio::task::yield_now().await;
    }
    for call in calls {
        assert_eq!(call.await.unwrap_err().outcome(), Outcome::NotApplied);
    }
    slow.assert_nothing_stored();
}

#[tokio::test]
async fn other_tasks_run_between_changes() {
    let storage = ConfigStorage::open(MemoryBackend::from_config("{}")).await.unwrap();
    let (turns, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let calls: Vec<_> = (0..100)
        .map(|call| {
            let (storage, turns, seen) = (storage.clone(), Arc::clone(&turns), Arc::clone(&seen));
            tokio::spawn(async move {
                let change = move |document: &mut ConfigDocument| {
                    seen.lock().unwrap().push(turns.load(Ordering::Relaxed));
                    document.set(Url, call.to_string());
                    Ok::<_, Error>(())
                };
                storage.update(change).await
            })
        })
        .collect();
    let other = tokio::spawn(async move {
        loop {
            turns.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    for call in calls {
        call.await.unwrap().unwrap();
    }
    other.abort();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 100, "one batch");
    // Tokio wakes tasks that yielded in reverse order, so that one may run twice in a row.
    assert!(seen.windows(3).all(|turns| turns[0] < turns[2]), "{seen:?}");
}
