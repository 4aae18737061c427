//! Single situations of the write protocol.

use std::{sync::Arc, time::Duration};

use ksm_storage_aws::{AwsSecretBackend, Concurrency};
use ksm_storage_core::{
    ConfigKey::Url, ConfigStorage, Displaced, ErrorKind, Outcome, StorageBackend, StoreOutcome,
};
use ksm_storage_emulator::{Action, Fault, ResponseFault, Value};

use crate::support::{BOTH, Interference, Region, committed, elsewhere_first, foreign, store};

#[tokio::test(start_paused = true)]
async fn equal_contents_have_one_winner() {
    for (one, other) in BOTH.iter().flat_map(|&one| BOTH.map(|other| (one, other))) {
        let region = Region::new(Some("{}"));
        let (one, other) = (region.backend(one), region.backend(other));
        let version = one.load().await.unwrap().version().clone();
        assert_eq!(other.load().await.unwrap().version().clone(), version);
        committed(store(&one, &version, r#"{"n":1}"#).await.unwrap());
        let outcome = store(&other, &version, r#"{"n":1}"#).await.unwrap();
        assert!(matches!(outcome, StoreOutcome::Conflict { .. }), "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_found_out() {
    for concurrency in BOTH {
        for how in ResponseFault::ALL {
            let region = Region::new(Some("{}"));
            let backend = region.backend(concurrency);
            let version = backend.load().await.unwrap().version().clone();
            region.emulator.fail(Action::PutSecretValue, [Fault::After(how)]);
            region.emulator.fail(Action::UpdateSecretVersionStage, [Fault::After(how)]);
            let (version, _) = committed(store(&backend, &version, r#"{"n":1}"#).await.unwrap());
            assert_eq!(backend.load().await.unwrap().version().clone(), version, "{how:?}");
            assert_eq!(region.current(), r#"{"n":1}"#);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn superseded_write_with_lost_reply_succeeds() {
    for concurrency in BOTH {
        let region = Region::new(Some("{}"));
        let elsewhere = region.backend(Concurrency::Optimistic);
        let step: Interference = {
            let elsewhere = elsewhere.clone();
            // Between the lost put and the read of its slot, another writer builds on it.
            elsewhere_first(async move {
                let version = elsewhere.load().await.unwrap().version().clone();
                committed(store(&elsewhere, &version, r#"{"n":2}"#).await.unwrap());
            })
        };
        // The first read by ID follows the put in one mode, and the move in the other.
        let backend = region.interposed(concurrency, [("slot", step)]);
        let version = backend.load().await.unwrap().version().clone();
        let action = match concurrency {
            Concurrency::Optimistic => Action::PutSecretValue,
            Concurrency::Strict => Action::UpdateSecretVersionStage,
        };
        region.emulator.fail(action, [Fault::After(ResponseFault::Reset)]);
        committed(store(&backend, &version, r#"{"n":1}"#).await.unwrap());
        assert_eq!(region.current(), r#"{"n":2}"#);
    }
}

#[tokio::test(start_paused = true)]
async fn late_put_is_unknown() {
    for (concurrency, outcome) in
        [(Concurrency::Optimistic, Outcome::Unknown), (Concurrency::Strict, Outcome::NotApplied)]
    {
        let region = Region::new(Some("{}"));
        let backend = region.backend(concurrency);
        let version = backend.load().await.unwrap().version().clone();
        region.emulator.fail(Action::PutSecretValue, [Fault::Before(ResponseFault::Hang)]);
        let error = store(&backend, &version, r#"{"n":1}"#).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, outcome));
        assert_eq!(region.current(), "{}");
    }
}

#[tokio::test(start_paused = true)]
async fn late_move_is_unknown() {
    let region = Region::new(Some("{}"));
    let backend = region.backend(Concurrency::Strict);
    let version = backend.load().await.unwrap().version().clone();
    region.emulator.fail(Action::UpdateSecretVersionStage, [Fault::Before(ResponseFault::Status(500))]);
    let error = store(&backend, &version, r#"{"n":1}"#).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::Unknown));
}

#[tokio::test(start_paused = true)]
async fn a_rollback_does_not_stop_writes() {
    for concurrency in BOTH {
        let region = Region::new(Some("{}"));
        let backend = region.backend(concurrency);
        let first = backend.load().await.unwrap().version().clone();
        for round in 1..=3 {
            let before = region.calls();
            committed(store(&backend, &first, &format!(r#"{{"n":{round}}}"#)).await.unwrap());
            let calls = [0, 1, 2].map(|index| region.calls()[index] - before[index]);
            assert!(region.secret.roll_back(first.as_str()));
            assert_eq!(region.current(), "{}");
            // Calls for each skipped slot: token, its missing successor, base, and the put.
            let passed = round - 1;
            assert_eq!(
                calls,
                match concurrency {
                    Concurrency::Optimistic => [1 + 3 * passed, 1 + passed, 0],
                    Concurrency::Strict => [2 * passed, 1 + passed, 1],
                }
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn crashed_stager_blocks_nobody() {
    for concurrency in BOTH {
        let region = Region::new(Some("{}"));
        let crashing = region.backend(Concurrency::Strict);
        let version = crashing.load().await.unwrap().version().clone();
        region.emulator.fail(Action::UpdateSecretVersionStage, [Fault::Before(ResponseFault::Hang)]);
        store(&crashing, &version, r#"{"lost":1}"#).await.unwrap_err();
        let backend = region.backend(concurrency);
        let version = backend.load().await.unwrap().version().clone();
        committed(store(&backend, &version, r#"{"n":1}"#).await.unwrap());
        assert_eq!(region.current(), r#"{"n":1}"#);
    }
}

#[tokio::test(start_paused = true)]
async fn stale_read_burns_no_slot() {
    for concurrency in BOTH {
        let region = Region::new(Some("{}"));
        let (one, other) = (region.backend(concurrency), region.backend(concurrency));
        let version = other.load().await.unwrap().version().clone();
        one.load().await.unwrap();
        committed(store(&one, &version, r#"{"n":1}"#).await.unwrap());
        // All further reads by the loser are stale.
        region.emulator.read_stale(100);
        let outcome = store(&other, &version, r#"{"n":2}"#).await.unwrap();
        let StoreOutcome::Conflict { current: Some(current), .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(current.payload(), Some(&r#"{"n":1}"#.into()));
        assert_eq!(region.current(), r#"{"n":1}"#);
    }
}

#[tokio::test(start_paused = true)]
async fn concurrent_first_writes_conflict() {
    for (one, other) in BOTH.iter().flat_map(|&one| BOTH.map(|other| (one, other))) {
        let region = Region::new(None);
        let (one, other) = (region.backend(one), region.backend(other));
        let stored = one.load().await.unwrap();
        assert_eq!(stored.payload(), None);
        assert_eq!(other.load().await.unwrap(), stored);
        committed(store(&one, stored.version(), "{}").await.unwrap());
        let outcome = store(&other, stored.version(), "{}").await.unwrap();
        assert!(matches!(outcome, StoreOutcome::Conflict { .. }), "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn recreated_secret_is_distinct() {
    let region = Region::new(Some("{}"));
    let backend = region.backend(Concurrency::Optimistic);
    let version = backend.load().await.unwrap().version().clone();
    region.secret.remove();
    region.secret.overwrite(Value::Text("{}".into()));
    assert_eq!(backend.load().await.unwrap().payload(), None);
    let error = store(&backend, &version, r#"{"n":1}"#).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::NotFound, Outcome::NotApplied));
    assert_eq!(region.current(), "{}");
}

#[tokio::test(start_paused = true)]
async fn earlier_foreign_write_is_kept() {
    for concurrency in BOTH {
        let region = Region::new(Some("{}"));
        let backend = region.backend(concurrency);
        backend.load().await.unwrap();
        region.secret.overwrite(Value::Binary(r#"{"foreign":1}"#.into()));
        let loaded = backend.load().await.unwrap();
        assert_eq!(loaded.payload(), Some(&r#"{"foreign":1}"#.into()));
        let (_, displaced) = committed(store(&backend, loaded.version(), r#"{"n":1}"#).await.unwrap());
        assert_eq!(displaced, Displaced::Nothing);
    }
}

#[tokio::test(start_paused = true)]
async fn later_foreign_write_is_reported() {
    let region = Region::new(Some("{}"));
    let backend = region.interposed(Concurrency::Optimistic, [("put", foreign(&region))]);
    let version = backend.load().await.unwrap().version().clone();
    let (_, displaced) = committed(store(&backend, &version, r#"{"n":1}"#).await.unwrap());
    let Displaced::Foreign { version, inspect } = displaced else { panic!("not reported: {displaced:?}") };
    let arn = region.secret.arn().unwrap();
    assert_eq!(
        inspect.unwrap(),
        format!("aws secretsmanager get-secret-value --secret-id {arn} --version-id {version}")
    );
    assert!(region.secret.versions().iter().any(|(id, _)| id == version.as_str()));

    for before in ["put", "move"] {
        let region = Region::new(Some("{}"));
        let backend = region.interposed(Concurrency::Strict, [(before, foreign(&region))]);
        let version = backend.load().await.unwrap().version().clone();
        let outcome = store(&backend, &version, r#"{"n":1}"#).await.unwrap();
        assert!(matches!(outcome, StoreOutcome::Conflict { .. }), "{outcome:?}");
        assert_eq!(region.current(), r#"{"foreign":1}"#);
    }
}

/// A foreign write just before ours and another write just after hide what we displaced.
#[tokio::test(start_paused = true)]
async fn undecidable_window_is_reported() {
    let region = Region::new(Some("{}"));
    let steps = [("put", foreign(&region)), ("slot", foreign(&region))];
    let backend = region.interposed(Concurrency::Optimistic, steps);
    let version = backend.load().await.unwrap().version().clone();
    let (_, displaced) = committed(store(&backend, &version, r#"{"n":1}"#).await.unwrap());
    assert_eq!(displaced, Displaced::Unverified);
}

#[tokio::test(start_paused = true)]
async fn failed_check_keeps_the_write() {
    let region = Region::new(Some("{}"));
    let backend = region.backend(Concurrency::Optimistic);
    let version = backend.load().await.unwrap().version().clone();
    region.emulator.deny(Action::GetSecretValue, "AccessDeniedException");
    let (_, displaced) = committed(store(&backend, &version, r#"{"n":1}"#).await.unwrap());
    assert_eq!(displaced, Displaced::Unverified);
    assert_eq!(region.calls()[1], 1, "the write was made twice");
}

#[tokio::test(start_paused = true)]
async fn hanging_check_keeps_the_write() {
    let region = Region::new(Some("{}"));
    let backend = region.hanging("slot");
    let version = backend.load().await.unwrap().version().clone();
    let storing = tokio::time::timeout(Duration::from_secs(15), store(&backend, &version, r#"{"n":1}"#));
    let (_, displaced) = committed(storing.await.unwrap().unwrap());
    assert_eq!(displaced, Displaced::Unverified);

    // A shorter deadline of the storage still applies.
    for (deadline, outcome) in [(15, None), (1, Some(Outcome::Unknown))] {
        let deadline = Duration::from_secs(deadline);
        let opening = ConfigStorage::builder(region.hanging("slot")).deadline(deadline).open();
        let storage = opening.await.unwrap();
        let start = tokio::time::Instant::now();
        let result = storage.set(Url, format!("{deadline:?}")).await;
        assert_eq!(result.map_err(|error| error.outcome()).err(), outcome);
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        assert!(region.current().contains(&format!("{deadline:?}")), "{}", region.current());
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_names_its_primary_region() {
    let region = Region::new(Some("{}"));
    let storage = region.storage(Concurrency::Optimistic).await;
    region.secret.replicate_from("eu-central-1");
    let error = storage.set(Url, "x").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::ReadOnly, Outcome::NotApplied));
    assert!(error.to_string().contains("eu-central-1"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn version_quota_has_its_kind() {
    let region = Region::new(Some("{}"));
    for _ in 0..110 {
        region.secret.overwrite(Value::Text("{}".into()));
    }
    let storage = region.storage(Concurrency::Optimistic).await;
    let error = storage.set(Url, "x").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::QuotaExceeded, Outcome::NotApplied));
    assert!(!error.is_retryable());
    assert!(error.to_string().contains("24 hours"), "{error}");
    region.emulator.advance(Duration::from_hours(24));
    storage.set(Url, "x").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn suffixed_name_is_found_and_checked() {
    let region = Region::new(Some("{}"));
    let arn = region.secret.arn().unwrap();
    let suffixed = arn.rsplit(':').next().unwrap().to_owned();
    let open = async |id: &str| {
        let client = Arc::new(region.emulator.clone());
        let backend =
            AwsSecretBackend::new(client, id.parse().unwrap(), "us-east-1", Concurrency::Optimistic);
        ConfigStorage::open(backend).await
    };
    open(&suffixed).await.unwrap();
    open(&arn).await.unwrap();
    assert_eq!(open("ksm-config-zzzzzz").await.unwrap_err().kind(), ErrorKind::NotFound);
    // The service mistakes an ARN that ends in `-config` for one with a random suffix.
    let without_suffix = |arn: &str| arn[..arn.len() - 7].to_owned();
    assert_eq!(open(&without_suffix(&arn)).await.unwrap_err().kind(), ErrorKind::NotFound);
    let other = region.emulator.secret("config");
    other.overwrite(Value::Text("{}".into()));
    open(&without_suffix(&other.arn().unwrap())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn calls_are_counted() {
    for (concurrency, write) in [(Concurrency::Optimistic, [2, 1, 0]), (Concurrency::Strict, [1, 1, 1])] {
        let region = Region::new(Some("{}"));
        let storage = region.storage(concurrency).await;
        let mut before = region.calls();
        assert_eq!(before, [1, 0, 0], "open");
        let mut since = || {
            let now = region.calls();
            let calls = [0, 1, 2].map(|index| now[index] - before[index]);
            before = now;
            calls
        };
        storage.set(Url, "x").await.unwrap();
        assert_eq!(since(), write, "set");
        storage.set(Url, "x").await.unwrap();
        assert_eq!(since(), [2, 0, 0], "set of what is there: a load and its confirmation");
        let refreshes: Vec<_> = (0..1000)
            .map(|_| {
                tokio::spawn({
                    let storage = storage.clone();
                    async move { storage.refresh().await }
                })
            })
            .collect();
        for refresh in refreshes {
            refresh.await.unwrap().unwrap();
        }
        assert!(since()[0] <= 2, "1,000 concurrent refreshes");
        let writes: Vec<_> = (0..1000)
            .map(|n| {
                tokio::spawn({
                    let storage = storage.clone();
                    async move { storage.set(Url, n.to_string()).await }
                })
            })
            .collect();
        for write in writes {
            write.await.unwrap().unwrap();
        }
        let puts = since()[1];
        assert!((1..=10).contains(&puts), "1,000 concurrent writes made {puts} puts");
    }
}
