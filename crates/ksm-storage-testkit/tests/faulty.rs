//! The faults of [`FaultyBackend`] match their documentation.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;

use ksm_storage_core::{ErrorKind, Outcome, Payload, StorageBackend, StoreOutcome};
use ksm_storage_memory::MemoryBackend;
use ksm_storage_testkit::{FaultRates, FaultyBackend, TestClock};

const CALLS: usize = 400;

/// The results of loads and stores on a faulty backend.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    good: usize,
    refused: usize,
    lost: usize,
    /// Reported as lost, but stored.
    applied: usize,
    conflicts: usize,
    hung: usize,
    injected: usize,
}

/// Stores repeatedly with `rates`, and determines the real results behind the faults.
async fn stores(rates: FaultRates, seed: u64) -> Summary {
    let inner = MemoryBackend::from_config("{}");
    let clock = TestClock::new();
    let backend = FaultyBackend::new(Arc::new(inner.clone()), Arc::new(clock), rates, seed);
    let mut found = Summary::default();
    for number in 0..CALLS {
        let before = inner.load().await.unwrap();
        let payload = Payload::from(format!("{{\"url\":\"{number}\"}}"));
        let stored = ended(backend.store(before.version(), &payload)).await;
        let applied = inner.load().await.unwrap().payload().cloned().as_ref() == Some(&payload);
        match stored {
            None => found.hung += 1,
            Some(Ok(StoreOutcome::Committed { .. })) => {
                assert!(applied, "acknowledged, and not stored");
                found.good += 1;
            }
            Some(Ok(StoreOutcome::Conflict { .. })) => {
                assert!(!applied, "a conflict, and stored");
                found.conflicts += 1;
            }
            Some(Err(error)) if error.outcome() == Outcome::NotApplied => {
                assert!(!applied, "said not to be applied, and stored");
                found.refused += 1;
            }
            Some(Err(error)) => {
                assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::Unknown));
                found.lost += 1;
                found.applied += usize::from(applied);
            }
        }
    }
    found.injected = backend.injected();
    found
}

/// The output of a future that waits only for the clock, or `None` if it hangs.
async fn ended<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = Box::pin(future);
    for _ in 0..100 {
        let output = std::future::poll_fn(|context| {
            std::task::Poll::Ready(match future.as_mut().poll(context) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        });
        if let Some(output) = output.await {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

#[tokio::test]
async fn without_rates_there_is_no_fault() {
    let seen = stores(FaultRates::NONE, 1).await;
    assert_eq!(seen, Summary { good: CALLS, ..Summary::default() });
}

#[tokio::test]
async fn faults_are_injected_as_often_asked() {
    let none = FaultRates::NONE;
    let about = |count: usize, share: usize| count.abs_diff(CALLS * share / 100) < CALLS / 10;

    let seen = stores(FaultRates { fail: 50, ..none }, 2).await;
    assert!(about(seen.good, 50) && about(seen.refused, 25) && about(seen.lost, 25), "{seen:?}");
    assert_eq!(seen.applied, 0);

    let seen = stores(FaultRates { reply_lost: 50, ..none }, 3).await;
    assert!(about(seen.lost, 50) && seen.applied == seen.lost, "{seen:?}");

    let seen = stores(FaultRates { conflict: 50, ..none }, 4).await;
    assert!(about(seen.conflicts, 50), "{seen:?}");

    let seen = stores(FaultRates { hang: 50, ..none }, 5).await;
    assert!(about(seen.hung, 50), "{seen:?}");

    let seen = stores(FaultRates::DELAYS, 6).await;
    assert!(seen.good == CALLS && about(seen.injected, 50), "{seen:?}");
}

#[tokio::test]
async fn loads_fail_and_hang_too() {
    let inner = Arc::new(MemoryBackend::from_config("{}"));
    let load = |rates| {
        let backend = FaultyBackend::new(inner.clone(), Arc::new(TestClock::new()), rates, 7);
        async move { ended(backend.load()).await }
    };
    let none = FaultRates::NONE;
    let failed = load(FaultRates { fail: 100, ..none }).await.unwrap().unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Unavailable);
    assert!(load(FaultRates { hang: 100, ..none }).await.is_none());
    assert!(load(FaultRates { delay: 100, ..none }).await.unwrap().is_ok());
    assert!(load(FaultRates { conflict: 100, ..none }).await.unwrap().is_ok());
}

#[tokio::test]
async fn the_seed_fixes_the_faults() {
    assert_eq!(stores(FaultRates::MANY, 8).await, stores(FaultRates::MANY, 8).await);
    assert_ne!(stores(FaultRates::MANY, 8).await, stores(FaultRates::MANY, 9).await);
}
