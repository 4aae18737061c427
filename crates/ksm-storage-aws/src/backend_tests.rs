//! The backend over a mocked client: replies that no service should give, and the number of calls.

use std::sync::{Arc, Mutex};

use ksm_storage_core::{
    Displaced, ErrorKind, NONCE_LEN, Outcome, Payload, StorageBackend, StoreOutcome, Version,
};
use mockall::{Sequence, predicate::function};
use proptest::prelude::*;

use super::{AwsSecretBackend, Creation, NO_VALUE};
use crate::{
    Concurrency, SecretId,
    client::{
        CURRENT, CallError, Failure, MAX_VALUE, MockSecretsClient, PREVIOUS, Put, PutReply, SecretVersion,
        Select,
    },
    protocol::VersionId,
};

#[path = "backend_tests/creation.rs"]
mod creation;
#[path = "backend_tests/ownership.rs"]
mod ownership;
#[path = "backend_tests/reading.rs"]
mod reading;
#[path = "backend_tests/throttling.rs"]
mod throttling;

const ARN: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:ksm-aBcDeF";

fn backend(client: MockSecretsClient, concurrency: Concurrency) -> AwsSecretBackend {
    AwsSecretBackend::new(Arc::new(client), "ksm".parse().unwrap(), "us-east-1", concurrency)
}

proptest! {
    /// The address after the scheme identifies the same secret.
    #[test]
    fn displayed_location_names_the_secret(
        name in "[a-zA-Z0-9/_+=.@-]{1,60}",
        partition in "aws(-[a-z]{1,4})?",
        region in "[a-z]{2}-[a-z]{1,9}-[0-9]",
    ) {
        let arn = format!("arn:{partition}:secretsmanager:{region}:123456789012:secret:{name}");
        for id in [name.clone(), format!("aws-sm://{region}/{name}"), arn.clone()] {
            let id: SecretId = id.parse().unwrap();
            let is_arn = id.is_arn();
            let client = Arc::new(MockSecretsClient::new());
            let shown = AwsSecretBackend::new(client, id, &region, Concurrency::Strict).location().to_string();
            let address = shown.strip_prefix("aws-sm:").unwrap();
            let again: SecretId = if address.starts_with("//") { &shown } else { address }.parse().unwrap();
            prop_assert_eq!(again.region().map(AsRef::as_ref), Some(&*region));
            prop_assert_eq!((again.is_arn(), again.as_str()), (is_arn, if is_arn { &*arn } else { &*name }));
        }
    }
}

fn version(id: &str, labels: &[&str]) -> SecretVersion {
    SecretVersion {
        arn: ARN.to_owned(),
        id: id.to_owned(),
        labels: labels.iter().map(|&label| label.to_owned()).collect(),
        value: Payload::from("{}"),
    }
}

fn acknowledged(put: &Put) -> PutReply {
    PutReply { id: put.token.clone(), labels: vec![CURRENT.to_owned()] }
}

/// The ID of a successor of `v1`.
fn slot(number: u8) -> String {
    Version::new("v1").slot(number).as_str().to_owned()
}

fn missing() -> CallError {
    CallError::answered(400, "ResourceNotFoundException")
}

/// Answers exactly these reads, in this order.
fn expect_reads(
    client: &mut MockSecretsClient,
    reads: impl IntoIterator<Item = (Select, Result<SecretVersion, CallError>)>,
) {
    let mut order = Sequence::new();
    for (select, answer) in reads {
        client
            .expect_get()
            .withf(move |_, asked| *asked == select)
            .once()
            .in_sequence(&mut order)
            .returning(move |_, _| answer.clone());
    }
}

fn id(id: &str) -> Select {
    Select::Id(id.to_owned())
}

async fn store(client: MockSecretsClient) -> ksm_storage_core::Result<StoreOutcome> {
    let backend = backend(client, Concurrency::Optimistic);
    backend.store(&Version::new("v1"), &Payload::from("{}")).await
}

#[tokio::test]
async fn version_under_other_id_is_foreign() {
    let mut client = MockSecretsClient::new();
    client
        .expect_put()
        .once()
        .returning(|_| Ok(PutReply { id: "another".to_owned(), labels: vec![CURRENT.to_owned()] }));
    let error = store(client).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unexpected, Outcome::Unknown));
}

#[tokio::test]
async fn first_put_uses_slot_and_nonce() {
    let mut client = MockSecretsClient::new();
    let expected =
        |put: &Put| put.token == slot(1) && put.label.is_none() && put.value.len() == "{}".len() + NONCE_LEN;
    client.expect_put().with(function(expected)).once().returning(|put| Ok(acknowledged(put)));
    client.expect_get().once().returning(|_, _| Ok(version("v1", &[PREVIOUS])));
    let committed = store(client).await.unwrap();
    assert!(
        matches!(committed, StoreOutcome::Committed { displaced: Displaced::Nothing, .. }),
        "{committed:?}"
    );
}

#[tokio::test]
async fn denied_suffixed_name_is_retried_bare() {
    for (found, refused) in
        [(ARN, false), ("arn:aws:secretsmanager:us-east-1:123456789012:secret:ksm-other1", true)]
    {
        let mut client = MockSecretsClient::new();
        client
            .expect_get()
            .withf(|secret, _| secret == "ksm-aBcDeF")
            .once()
            .returning(|_, _| Err(CallError::answered(400, "AccessDeniedException")));
        client
            .expect_get()
            .withf(|secret, _| secret == "ksm")
            .once()
            .returning(|_, _| Ok(SecretVersion { arn: found.to_owned(), ..version("v1", &[CURRENT]) }));
        let id = "ksm-aBcDeF".parse().unwrap();
        let backend = AwsSecretBackend::new(Arc::new(client), id, "us-east-1", Concurrency::default());
        let kind = backend.load().await.map_err(|error| error.kind()).err();
        assert_eq!(kind, refused.then_some(ErrorKind::AccessDenied));
    }
}

/// The bare name's reply decides, whatever it is: an unanswered read does not show that the secret is absent.
#[tokio::test(start_paused = true)]
async fn bare_name_decides_on_absence() {
    let answered = |code| CallError::answered(400, code);
    for (second, kind) in [
        (answered("ThrottlingException"), Some(ErrorKind::Throttled)),
        (CallError::new(Failure::TimedOut), Some(ErrorKind::Timeout)),
        (answered("AccessDeniedException"), Some(ErrorKind::AccessDenied)),
        (missing(), None),
    ] {
        let mut client = MockSecretsClient::new();
        let (read, listed) = (second.clone(), second.clone());
        client.expect_get().withf(|secret, _| secret == "ksm-aBcDeF").once().returning(|_, _| Err(missing()));
        client.expect_versions().withf(|secret| secret == "ksm-aBcDeF").once().returning(|_| Err(missing()));
        client.expect_get().withf(|secret, _| secret == "ksm").returning(move |_, _| Err(read.clone()));
        client.expect_versions().withf(|secret| secret == "ksm").returning(move |_| Err(listed.clone()));
        let id = "ksm-aBcDeF".parse().unwrap();
        let backend = AwsSecretBackend::new(Arc::new(client), id, "us-east-1", Concurrency::default());
        match (backend.load().await, kind) {
            (Ok(stored), None) => assert!(stored.payload().is_none()),
            (loaded, kind) => assert_eq!(loaded.map_err(|error| error.kind()).err(), kind, "{second}"),
        }
        let listed = backend.versions().await.unwrap_err();
        assert_eq!(listed.kind(), kind.unwrap_or(ErrorKind::NotFound), "{second}");
    }
}

#[tokio::test(start_paused = true)]
async fn throttled_bare_name_is_retried() {
    let mut client = MockSecretsClient::new();
    let throttled = || Err(CallError::answered(400, "ThrottlingException"));
    let found = || Ok(version("v1", &[CURRENT]));
    let reads = [
        ("ksm-aBcDeF", throttled()),
        ("ksm-aBcDeF", Err(missing())),
        ("ksm", throttled()),
        ("ksm", throttled()),
        ("ksm", found()),
    ];
    let mut order = Sequence::new();
    for (name, answer) in reads {
        let get = client.expect_get().withf(move |secret, _| secret == name).once().in_sequence(&mut order);
        get.returning(move |_, _| answer.clone());
    }
    let id = "ksm-aBcDeF".parse().unwrap();
    let backend = AwsSecretBackend::new(Arc::new(client), id, "us-east-1", Concurrency::default());
    assert_eq!(backend.load().await.unwrap().version().as_str(), "v1");
}

#[tokio::test]
async fn primary_region_tells_a_replica() {
    // Includes the longest ARN that the service returns.
    let longest = ARN.replace("ksm-", &format!("{}-", "n".repeat(512)));
    for (arn, primary, kind) in [
        (ARN, "eu-west-1", ErrorKind::ReadOnly),
        (ARN, "us-east-1", ErrorKind::InvalidArgument),
        (&longest, "us-east-1", ErrorKind::InvalidArgument),
    ] {
        let mut client = MockSecretsClient::new();
        let found = SecretVersion { arn: arn.to_owned(), ..version("v1", &[CURRENT]) };
        expect_reads(&mut client, [(Select::Current, Ok(found)), (id(&slot(1)), Err(missing()))]);
        client.expect_put().once().returning(|_| Err(CallError::answered(400, "InvalidParameterException")));
        client.expect_primary_region().once().returning(|_| Ok(Some(primary.to_owned())));
        let backend = backend(client, Concurrency::Optimistic);
        let version = backend.load().await.unwrap().version().clone();
        let error = backend.store(&version, &Payload::from("{}")).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (kind, Outcome::NotApplied));
    }
}

#[tokio::test]
async fn oversized_payload_is_never_put() {
    let backend = backend(MockSecretsClient::new(), Concurrency::Strict);
    let limit = backend.capabilities().max_payload.unwrap();
    assert_eq!(limit, MAX_VALUE - NONCE_LEN);
    let payload = Payload::from("x".repeat(limit + 1));
    let error = backend.store(&Version::new("v1"), &payload).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::TooLarge, Outcome::NotApplied));
}

#[test]
fn debug_shows_location_and_mode() {
    let shown = format!("{:?}", backend(MockSecretsClient::new(), Concurrency::Strict));
    assert!(shown.contains("ksm") && shown.contains("Strict"), "{shown}");
}

#[tokio::test]
async fn known_arn_is_used() {
    let mut client = MockSecretsClient::new();
    let mut order = Sequence::new();
    for name in ["ksm", ARN] {
        client
            .expect_get()
            .withf(move |secret, _| secret == name)
            .once()
            .in_sequence(&mut order)
            .returning(|_, _| Ok(version("v1", &[CURRENT])));
    }
    let backend = backend(client, Concurrency::Optimistic);
    backend.load().await.unwrap();
    backend.load().await.unwrap();
}

#[tokio::test]
async fn version_quota_is_not_retryable() {
    let mut client = MockSecretsClient::new();
    client.expect_put().once().returning(|_| Err(CallError::answered(400, "LimitExceededException")));
    expect_reads(&mut client, [(id(&slot(1)), Err(missing()))]);
    let error = store(client).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::QuotaExceeded, Outcome::NotApplied));
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn unsent_put_is_not_applied() {
    for failure in [Failure::NotBuilt("no".into()), Failure::NoCredentials("none".into())] {
        let mut client = MockSecretsClient::new();
        client.expect_put().once().returning(move |_| Err(CallError::new(failure.clone())));
        assert_eq!(store(client).await.unwrap_err().outcome(), Outcome::NotApplied);
    }
}

#[tokio::test(start_paused = true)]
async fn failed_check_leaves_write_committed() {
    let refused = CallError::answered(400, "AccessDeniedException");
    // A refusal is final; transient failures are retried until the time limit.
    for (error, once) in [
        (refused, true),
        (CallError::new(Failure::Unreadable), true),
        (CallError::new(Failure::TimedOut), false),
        (CallError::answered(400, "ThrottlingException"), false),
    ] {
        let mut client = MockSecretsClient::new();
        client.expect_put().once().returning(|put| Ok(acknowledged(put)));
        let times = if once { 1..=1 } else { 2..=8 };
        client.expect_get().times(times).returning(move |_, _| Err(error.clone()));
        let committed = store(client).await.unwrap();
        assert!(
            matches!(committed, StoreOutcome::Committed { displaced: Displaced::Unverified, .. }),
            "{committed:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn only_first_values_displace_nothing_unseen() {
    let denied = CallError::answered(400, "AccessDeniedException");
    for (expected, error, nothing) in
        [(NO_VALUE, missing(), true), (NO_VALUE, denied, false), ("v1", missing(), false)]
    {
        let mut client = MockSecretsClient::new();
        client.expect_put().once().returning(|put| Ok(acknowledged(put)));
        // The pauses between the reads grow.
        client.expect_get().times(1..=32).returning(move |_, _| Err(error.clone()));
        let backend = backend(client, Concurrency::Optimistic);
        let stored = backend.store(&Version::new(expected), &Payload::from("{}")).await.unwrap();
        let StoreOutcome::Committed { displaced, .. } = stored else { panic!("{stored:?}") };
        assert_eq!(displaced, if nothing { Displaced::Nothing } else { Displaced::Unverified }, "{expected}");
    }
}

/// The check reads the labels of the base first, and stops once further reads cannot decide anything.
#[tokio::test(start_paused = true)]
async fn check_reads_what_can_decide() {
    let base = |labels: &[&str]| (id("v1"), Ok(version("v1", labels)));
    let previous = |of: &str| (Select::Previous, Ok(version(of, &[PREVIOUS])));
    let other = |labels: &[&str]| (id("other"), Ok(version("other", labels)));
    let token = |labels: &[&str]| (id(&slot(1)), Ok(version(&slot(1), labels)));
    let descendant = Version::new(slot(1)).slot(3).as_str().to_owned();
    for (reads, displaced) in [
        (vec![base(&[PREVIOUS])], Some(false)),
        (vec![base(&[]), previous(&slot(1))], None),
        (vec![base(&[]), previous(&descendant)], None),
        (vec![base(&[]), previous("other"), other(&[PREVIOUS]), token(&[CURRENT])], Some(true)),
        // Stale reads of the label, then a fresh one.
        (vec![base(&[]), previous("v1"), base(&[]), previous(&slot(1))], None),
        (vec![base(&[]), previous("other"), other(&[]), base(&[PREVIOUS])], Some(false)),
    ] {
        let context = format!("{reads:?}");
        let mut client = MockSecretsClient::new();
        client.expect_put().once().returning(|put| Ok(acknowledged(put)));
        expect_reads(&mut client, reads);
        let stored = store(client).await.unwrap();
        let StoreOutcome::Committed { displaced: found, .. } = stored else { panic!("{stored:?}") };
        let matches = match displaced {
            None => found == Displaced::Unverified,
            Some(false) => found == Displaced::Nothing,
            Some(true) => matches!(&found, Displaced::Foreign { version, .. } if version.as_str() == "other"),
        };
        assert!(matches, "{context}: {found:?}");
    }
}
