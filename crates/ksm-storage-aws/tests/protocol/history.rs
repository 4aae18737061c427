//! Version history and its quota.

use std::{sync::Arc, time::Duration};

use ksm_storage_aws::{AwsSecretBackend, Concurrency, KeptVersion, Writer};
use ksm_storage_core::{ErrorKind, StorageBackend, Version};
use ksm_storage_emulator::{Action, Emulator, Value};

use crate::support::{Region, committed, store};

fn project(base: &Version) -> Writer {
    Writer::Project { base: Some(base.clone()) }
}

fn by_version(versions: &[KeptVersion]) -> Vec<(&str, &Writer)> {
    versions.iter().map(|kept| (kept.version.as_str(), &kept.writer)).collect()
}

#[tokio::test(start_paused = true)]
async fn history_tells_writers_apart() {
    let region = Region::new(Some("{}"));
    let (backend, strict) = (region.backend(Concurrency::Optimistic), region.backend(Concurrency::Strict));
    let first = backend.load().await.unwrap().version().clone();
    let own = committed(store(&backend, &first, r#"{"n":1}"#).await.unwrap()).0;
    let moved = committed(store(&strict, &own, r#"{"n":2}"#).await.unwrap()).0;
    region.emulator.advance(Duration::from_mins(1));
    let foreign = region.secret.overwrite(Value::Text(r#"{"foreign":1}"#.into()));
    let last = committed(store(&backend, &Version::new(foreign.as_str()), r#"{"n":3}"#).await.unwrap()).0;

    let versions = backend.versions().await.unwrap();
    let expected = [
        (last.as_str(), &project(&Version::new(foreign.as_str()))),
        (&foreign, &Writer::Foreign),
        (moved.as_str(), &project(&own)),
        (own.as_str(), &project(&first)),
        (first.as_str(), &Writer::Foreign),
    ];
    assert_eq!(by_version(&versions), expected);
    assert_eq!(versions[0].labels, ["AWSCURRENT"]);
    assert!(versions.iter().all(|kept| kept.created.is_some()));
    assert!(versions[0].created > versions[2].created);
}

#[tokio::test(start_paused = true)]
async fn first_value_has_no_base() {
    let region = Region::new(None);
    let backend = region.backend(Concurrency::Optimistic);
    assert_eq!(backend.versions().await.unwrap(), []);
    committed(store(&backend, &Version::new(""), "{}").await.unwrap());
    assert_eq!(backend.versions().await.unwrap()[0].writer, Writer::Project { base: None });
}

#[tokio::test(start_paused = true)]
async fn successor_of_expired_version_is_unknown() {
    let region = Region::new(None);
    let backend = region.backend(Concurrency::Optimistic);
    let first = committed(store(&backend, &Version::new(""), "{}").await.unwrap()).0;
    let second = committed(store(&backend, &first, r#"{"n":1}"#).await.unwrap()).0;
    let third = committed(store(&backend, &second, r#"{"n":2}"#).await.unwrap()).0;
    // A day later, the next version evicts the first one, which has no label.
    region.emulator.advance(Duration::from_hours(25));
    region.emulator.set_version_quota(Some(3));
    let fourth = committed(store(&backend, &third, r#"{"n":3}"#).await.unwrap()).0;
    let versions = backend.versions().await.unwrap();
    let expected = [
        (fourth.as_str(), &project(&third)),
        (third.as_str(), &project(&second)),
        (second.as_str(), &Writer::Unknown),
    ];
    assert_eq!(by_version(&versions), expected);
}

#[tokio::test(start_paused = true)]
async fn version_is_read_by_id() {
    let region = Region::new(Some(r#"{"n":0}"#));
    let backend = region.backend(Concurrency::Optimistic);
    let first = backend.load().await.unwrap().version().clone();
    let second = committed(store(&backend, &first, r#"{"n":1}"#).await.unwrap()).0;
    for (version, json) in [(&first, r#"{"n":0}"#), (&second, r#"{"n":1}"#)] {
        assert_eq!(backend.version(version).await.unwrap().as_bytes(), json.as_bytes());
    }
    for (version, kind) in [
        ("00000000-0000-0000-0000-999999999999", ErrorKind::NotFound),
        ("AWSPREVIOUS", ErrorKind::InvalidArgument),
        ("", ErrorKind::InvalidArgument),
    ] {
        let error = backend.version(&Version::new(version)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains("list-secret-version-ids"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn history_needs_one_permission() {
    let region = Region::new(Some("{}"));
    let backend = region.backend(Concurrency::Optimistic);
    region.emulator.deny(Action::GetSecretValue, "AccessDeniedException");
    assert_eq!(backend.versions().await.unwrap().len(), 1);
    region.emulator.allow_all();
    region.emulator.deny(Action::ListSecretVersionIds, "AccessDeniedException");
    let error = backend.versions().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied);
    assert!(error.to_string().contains("grant secretsmanager:ListSecretVersionIds on arn:"), "{error}");
    assert!(!error.to_string().contains("kms"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn name_with_suffix_has_history() {
    let emulator = Emulator::new("us-east-1");
    emulator.secret("ksm").overwrite(Value::Text("{}".into()));
    let arn = emulator.secret("ksm").arn().unwrap();
    let (_, name) = arn.rsplit_once(":secret:").unwrap();
    let backend = |id: &str| {
        let (client, id) = (Arc::new(emulator.clone()), id.parse().unwrap());
        AwsSecretBackend::new(client, id, "us-east-1", Concurrency::Optimistic)
    };
    assert_eq!(backend(name).versions().await.unwrap().len(), 1);
    assert_eq!(backend("ksm-aaaaaa").versions().await.unwrap_err().kind(), ErrorKind::NotFound);
}
