//! A fleet of programs that start at once, in virtual time. `docs/fleet.md` has the results of larger fleets.
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "these are tests")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    dead_code,
    reason = "shared with the example"
)]

#[path = "../examples/fleet/bind.rs"]
mod bind;
#[path = "../examples/fleet/simulation.rs"]
mod simulation;

use std::{sync::Arc, time::Duration};

use ksm_storage_aws::{AwsSecretBackend, Concurrency};
use ksm_storage_core::{ConfigKey, ConfigStorage, ErrorKind, Outcome};
use ksm_storage_emulator::{Action, Emulator, Value};
use simulation::{Fleet, Retries};

#[test]
fn half_a_quota_opens_ten_thousand() {
    let report = Fleet { gets: 5_000, ..Fleet::default() }.run();
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    assert_eq!(report.times.len(), 10_000);
    assert!(report.gets_per_start() <= 1.7, "{} Gets per start", report.gets_per_start());
    assert!(report.quantile(1.0) < Duration::from_secs(15));
}

#[test]
fn throttling_reduces_calls() {
    let fleet = Fleet { starts: 20_000, gets: 1_000, ..Fleet::default() };
    let (own, sdk) = (fleet.run(), Fleet { retries: Retries::Sdk(200), ..fleet }.run());
    // The load is twenty times the quota.
    assert!(own.opened() > 4.0 * sdk.opened(), "{} and {}", own.opened(), sdk.opened());
    let calls: Vec<_> = own.seconds.iter().map(|second| second[0]).collect();
    assert!(calls[0] < 23_000 && calls[1..].iter().all(|&calls| calls < 8_000), "{calls:?}");
}

#[test]
fn one_token_binds_one_start() {
    let report = Fleet { gets: 5_000, unbound: true, ..Fleet::default() }.run();
    assert_eq!((report.bindings, report.stored), (1, 2), "{:?}", report.failures);
    assert!(report.failures.keys().all(|kind| kind == "TokenSpent"), "{:?}", report.failures);
    assert!(report.opened() > 0.99, "{:?}", report.failures);
}

#[test]
fn overload_binds_no_second_start() {
    // As many starts for the quotas as 100,000 at 5,000 Gets a second.
    let report = Fleet { starts: 5_000, gets: 250, puts: 3, unbound: true, ..Fleet::default() }.run();
    assert_eq!((report.bindings, report.stored), (1, 2), "{:?}", report.failures);
    assert!(report.failures.contains_key("throttled"), "{:?}", report.failures);
}

#[test]
fn outage_during_bind_is_survived() {
    let fleet = Fleet { starts: 1_000, gets: 500, puts: 5, outage: true, unbound: true, ..Fleet::default() };
    let report = fleet.run();
    // The start that bound, just before the outage, stores the application key after it.
    assert!(!report.failures.contains_key(bind::NOT_SAVED), "{:?}", report.failures);
    assert_eq!((report.bindings, report.stored), (1, 2), "{:?}", report.failures);
    assert!(report.last.is_some(), "a start never opens");
}

#[test]
fn runs_are_repeatable() {
    let run = || format!("{:?}", Fleet { starts: 200, gets: 50, ..Fleet::default() }.run());
    assert_eq!(run(), run());
}

async fn opened() -> (Emulator, ConfigStorage) {
    let emulator = Emulator::new("us-east-1");
    emulator.secret("ksm-config").overwrite(Value::Text("{}".into()));
    let (client, id) = (Arc::new(emulator.clone()), "ksm-config".parse().unwrap());
    let backend = AwsSecretBackend::new(client, id, "us-east-1", Concurrency::Optimistic);
    (emulator, ConfigStorage::open(backend).await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn throttled_put_is_not_applied() {
    let (emulator, storage) = opened().await;
    emulator.deny(Action::PutSecretValue, "ThrottlingException");
    let start = tokio::time::Instant::now();
    let error = storage.set(ConfigKey::Url, "u").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Throttled, Outcome::NotApplied), "{error}");
    assert!(start.elapsed() <= Duration::from_secs(15), "{:?}", start.elapsed());
    assert!(emulator.calls(Action::PutSecretValue) > 1);
    emulator.allow_all();
    storage.set(ConfigKey::Url, "u").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn scheduled_refresh_costs_one_get() {
    let (emulator, storage) = opened().await;
    let gets = || emulator.calls(Action::GetSecretValue);
    let period = Duration::from_mins(5);
    storage.keep_fresh(period).unwrap();
    for periods in 1..=288 {
        tokio::time::sleep(period).await;
        assert_eq!(gets(), 1 + periods);
    }
    emulator.secret("ksm-config").overwrite(Value::Text(r#"{"url":"u"}"#.into()));
    tokio::time::sleep(period).await;
    assert!(storage.contains(ConfigKey::Url) && gets() == 290, "{}", gets());
    drop(storage);
    tokio::time::sleep(3 * period).await;
    assert_eq!(gets(), 290);
}
