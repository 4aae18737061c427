//! Concurrent writers under random timing and faults.

use std::{sync::Arc, time::Duration};

use ksm_storage_aws::Concurrency;
use ksm_storage_core::{
    ConfigKey::Url, ConfigStorage, Displaced, Error, ExposeSecret, Outcome, StorageBackend, StoreOutcome,
};
use proptest::prelude::*;

use crate::support::{BOTH, Region, store};

/// Increments the counter. Returns whether the change was applied, or `None` if that is unknown.
async fn increment(storage: &ConfigStorage) -> Option<bool> {
    let change = |document: &mut ksm_storage_core::ConfigDocument| {
        let count: u32 = document.get(Url).map_or(0, |value| value.expose_secret().parse().unwrap());
        document.set(Url, (count + 1).to_string());
        Ok::<_, Error>(())
    };
    match storage.update(change).await {
        Ok(()) => Some(true),
        Err(error) => match error.outcome() {
            Outcome::NotApplied => Some(false),
            Outcome::Applied => Some(true),
            Outcome::Unknown => None,
        },
    }
}

fn count(json: &str) -> u32 {
    let document = ksm_storage_core::ConfigDocument::parse(json.as_bytes()).unwrap();
    document.get(Url).map_or(0, |value| value.expose_secret().parse().unwrap())
}

async fn run_increments(seed: u64, writers: &[Concurrency], percent: u8, stale: u32) {
    // Half the time limit of a stager, and a quarter of the time that others wait for it.
    let region = Region::with_latency(Some("{}"), Duration::from_millis(499), seed);
    region.emulator.set_version_quota(None);
    let mut tasks = Vec::new();
    for &concurrency in writers {
        let storage = region.storage(concurrency).await;
        tasks.push(tokio::spawn(async move {
            let mut results = Vec::new();
            for _ in 0..10 {
                results.push(increment(&storage).await);
            }
            results
        }));
    }
    region.emulator.chaos(seed, percent);
    region.emulator.read_stale(stale);
    let mut results = Vec::new();
    for task in tasks {
        results.extend(task.await.unwrap());
    }
    let sure = u32::try_from(results.iter().filter(|result| **result == Some(true)).count()).unwrap();
    let unknown = u32::try_from(results.iter().filter(|result| result.is_none()).count()).unwrap();
    let found = count(&region.current());
    assert!(
        (sure..=sure + unknown).contains(&found),
        "{sure} acknowledged, {unknown} unknown, {found} found; {:?}",
        region.secret.versions()
    );
    if percent == 0 {
        assert_eq!(unknown, 0);
        assert!(sure > 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn acknowledged_increments_are_never_lost(
        seed in any::<u64>(),
        writers in proptest::collection::vec(prop_oneof![Just(BOTH[0]), Just(BOTH[1])], 2..5),
        percent in prop_oneof![Just(0u8), 1u8..25],
        stale in 0u32..6,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run_increments(seed, &writers, percent, stale));
    }
}

/// Without a foreign writer, no version is ever reported as displaced, however many of our own write.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn own_writers_never_displace_each_other() {
    let region = Arc::new(Region::new(Some("{}")));
    region.emulator.set_version_quota(None);
    let writers = [0; 3].map(|_| {
        let backend = region.backend(Concurrency::Optimistic);
        tokio::spawn(async move {
            let mut commits = 0;
            while commits < 50 {
                let version = backend.load().await.unwrap().version().clone();
                match store(&backend, &version, &format!(r#"{{"n":{commits}}}"#)).await.unwrap() {
                    StoreOutcome::Committed { displaced, .. } => {
                        assert!(!matches!(displaced, Displaced::Foreign { .. }), "{displaced:?}");
                        commits += 1;
                    }
                    StoreOutcome::Conflict { .. } => {}
                }
            }
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
}

/// A slot taken during the wait for an earlier slot must not be skipped along with it.
#[tokio::test(start_paused = true)]
async fn seed_that_lost_an_increment() {
    let writers = [Concurrency::Strict, Concurrency::Strict, Concurrency::Optimistic];
    run_increments(12_443_004_487_005_062_011, &writers, 23, 0).await;
}
