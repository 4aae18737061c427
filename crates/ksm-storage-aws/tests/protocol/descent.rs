//! Ancestry of versions.

use ksm_storage_aws::{AwsSecretBackend, Concurrency, Descent};
use ksm_storage_core::{StorageBackend, Version};
use ksm_storage_emulator::{Action, Value};
use tracing::subscriber::DefaultGuard;

#[path = "../../../ksm-storage-core/tests/warnings/mod.rs"]
mod warnings;

use self::warnings::Warnings;
use crate::support::{Region, committed, store};

/// Writes `count` times, each time on the previous version, and returns all versions.
async fn chain(backend: &AwsSecretBackend, base: &Version, count: usize) -> Vec<Version> {
    let mut versions = vec![base.clone()];
    for number in 0..count {
        let json = format!(r#"{{"n":{number}}}"#);
        versions.push(committed(store(backend, &versions[number], &json).await.unwrap()).0);
    }
    versions
}

async fn region() -> (Region, AwsSecretBackend, Version) {
    let region = Region::new(Some("{}"));
    let backend = region.backend(Concurrency::Optimistic);
    let version = backend.load().await.unwrap().version().clone();
    (region, backend, version)
}

#[tokio::test(start_paused = true)]
async fn own_writes_descend() {
    let (region, backend, version) = region().await;
    let versions = chain(&backend, &version, 9).await;
    let before = region.emulator.calls(Action::GetSecretValue);
    for to in &versions[..=8] {
        assert_eq!(backend.descends(&version, to).await.unwrap(), Descent::Yes);
    }
    assert_eq!(region.emulator.calls(Action::GetSecretValue), before, "IDs alone tell");
    assert_eq!(backend.descends(&versions[0], &versions[9]).await.unwrap(), Descent::Unknown);
    assert_eq!(backend.descends(&versions[1], &versions[0]).await.unwrap(), Descent::Unknown);
    assert_eq!(backend.descends(&versions[2], &versions[0]).await.unwrap(), Descent::No);
}

#[tokio::test(start_paused = true)]
async fn foreign_write_breaks_descent() {
    let (region, backend, version) = region().await;
    let versions = chain(&backend, &version, 2).await;
    region.secret.overwrite(Value::Text(r#"{"foreign":1}"#.into()));
    let foreign = backend.load().await.unwrap().version().clone();
    let later = chain(&backend, &foreign, 1).await;
    for to in [&foreign, &later[1]] {
        assert_eq!(backend.descends(&versions[1], to).await.unwrap(), Descent::No);
    }
}

#[tokio::test(start_paused = true)]
async fn expired_and_branched_chains_are_unknown() {
    let (region, backend, version) = region().await;
    let expired = Version::new("00000000-0000-0000-0000-999999999999");
    assert_eq!(backend.descends(&expired, &version).await.unwrap(), Descent::Unknown);
    let versions = chain(&backend, &version, 1).await;
    assert!(region.secret.roll_back(version.as_str()));
    let branch = chain(&backend, &version, 1).await;
    assert_eq!(backend.descends(&version, &branch[1]).await.unwrap(), Descent::Yes);
    let further = chain(&backend, &branch[1], 1).await;
    assert_eq!(backend.descends(&version, &further[1]).await.unwrap(), Descent::Unknown);
    assert_eq!(backend.descends(&versions[1], &branch[1]).await.unwrap(), Descent::No);
}

#[tokio::test(start_paused = true)]
async fn unreadable_chain_is_an_error() {
    let (region, backend, version) = region().await;
    region.emulator.deny(Action::GetSecretValue, "AccessDeniedException");
    backend.descends(&version, &Version::new("other")).await.unwrap_err();
}

/// Collects the warnings of this thread until the guard is dropped.
fn watch() -> (Warnings, DefaultGuard) {
    let warnings = Warnings::of("ksm_storage");
    let guard = tracing::subscriber::set_default(warnings.subscriber());
    (warnings, guard)
}

fn unrelated(warnings: &Warnings) -> usize {
    warnings.text().matches("unrelated:").count()
}

#[tokio::test(start_paused = true)]
async fn load_of_unrelated_version_warns_once() {
    let (warnings, _guard) = watch();
    let (region, backend, version) = region().await;
    chain(&backend, &version, 2).await;
    region.secret.overwrite(Value::Text(r#"{"foreign":1}"#.into()));
    backend.load().await.unwrap();
    assert_eq!(unrelated(&warnings), 1);
    let before = region.emulator.calls(Action::GetSecretValue);
    backend.load().await.unwrap();
    assert_eq!((unrelated(&warnings), region.emulator.calls(Action::GetSecretValue) - before), (1, 1));
    // A rollback is unrelated, too.
    let commit = chain(&backend, backend.load().await.unwrap().version(), 1).await;
    assert!(region.secret.roll_back(version.as_str()));
    backend.load().await.unwrap();
    assert_eq!(unrelated(&warnings), 2, "{commit:?}");
}

#[tokio::test(start_paused = true)]
async fn descendant_load_is_one_call() {
    let (warnings, _guard) = watch();
    let (region, backend, version) = region().await;
    let own = chain(&backend, &version, 1).await;
    let other = region.backend(Concurrency::Strict);
    chain(&other, &own[1], 7).await;
    let before = region.emulator.calls(Action::GetSecretValue);
    backend.load().await.unwrap();
    assert_eq!((unrelated(&warnings), region.emulator.calls(Action::GetSecretValue) - before), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn stale_load_is_not_unrelated() {
    let (warnings, _guard) = watch();
    let (region, backend, version) = region().await;
    let versions = chain(&backend, &version, 1).await;
    region.emulator.read_stale(1);
    assert_eq!(*backend.load().await.unwrap().version(), version);
    assert_eq!(*backend.load().await.unwrap().version(), versions[1]);
    assert_eq!(unrelated(&warnings), 0);
}
