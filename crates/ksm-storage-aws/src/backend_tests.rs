//! The backend over a mocked seam: answers that no service should give, and how often it is asked.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ksm_storage_core::{
    Clock, Displaced, ErrorKind, Outcome, Payload, StorageBackend, StoreOutcome, Version,
};
use mockall::{Sequence, predicate::function};

use super::{AwsSecretBackend, NO_VALUE};
use crate::{
    Concurrency,
    client::{
        CURRENT, CallError, Failure, MAX_VALUE, MockSecretsClient, PREVIOUS, Put, PutReply, SecretVersion,
        Select,
    },
    slot,
};

const ARN: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:ksm-aBcDeF";

fn backend(client: MockSecretsClient, concurrency: Concurrency) -> AwsSecretBackend {
    AwsSecretBackend::new(Arc::new(client), "ksm".parse().unwrap(), "us-east-1", concurrency)
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

async fn store(client: MockSecretsClient) -> ksm_storage_core::Result<StoreOutcome> {
    let backend = backend(client, Concurrency::Optimistic);
    backend.store(&Version::new("v1"), &Payload::from("{}")).await
}

#[tokio::test]
async fn a_version_under_another_id_than_the_one_given_is_not_taken_for_ours() {
    let mut client = MockSecretsClient::new();
    client
        .expect_put()
        .once()
        .returning(|_| Ok(PutReply { id: "another".to_owned(), labels: vec![CURRENT.to_owned()] }));
    let error = store(client).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unexpected, Outcome::Unknown));
}

#[tokio::test]
async fn the_first_put_goes_to_the_slot_of_the_version_with_a_nonce_and_no_label() {
    let mut client = MockSecretsClient::new();
    let expected = |put: &Put| {
        let slot = slot::id(&Version::new("v1"), 1);
        put.token == slot
            && put.label.is_none()
            && put.value.len() == "{}".len() + ksm_storage_core::NONCE_LEN
    };
    client.expect_put().with(function(expected)).once().returning(|put| Ok(acknowledged(put)));
    client.expect_get().once().returning(|_, _| Ok(version("v1", &[PREVIOUS])));
    let committed = store(client).await.unwrap();
    assert!(
        matches!(committed, StoreOutcome::Committed { displaced: Displaced::Nothing, .. }),
        "{committed:?}"
    );
}

#[tokio::test]
async fn a_quota_is_asked_once() {
    let mut client = MockSecretsClient::new();
    client.expect_put().once().returning(|_| Err(CallError::answered(400, "LimitExceededException")));
    let error = store(client).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Throttled, Outcome::NotApplied));
}

#[tokio::test]
async fn a_verification_that_fails_leaves_the_write_committed_and_unrepeated() {
    let refused = CallError::answered(400, "AccessDeniedException");
    for error in [refused, CallError::new(Failure::TimedOut), CallError::new(Failure::Unreadable)] {
        let mut client = MockSecretsClient::new();
        client.expect_put().once().returning(|put| Ok(acknowledged(put)));
        client.expect_get().once().returning(move |_, _| Err(error.clone()));
        let committed = store(client).await.unwrap();
        assert!(
            matches!(committed, StoreOutcome::Committed { displaced: Displaced::Unverified, .. }),
            "{committed:?}"
        );
    }
}

#[tokio::test]
async fn after_a_lost_reply_the_slot_tells_what_became_of_it() {
    // Nothing there yet: it may still arrive.
    let mut client = MockSecretsClient::new();
    client.expect_put().once().returning(|_| Err(CallError::new(Failure::Disconnected)));
    let missing = || Err(CallError::answered(400, "ResourceNotFoundException"));
    client.expect_get().once().returning(move |_, _| missing());
    assert_eq!(store(client).await.unwrap_err().outcome(), Outcome::Unknown);

    // Another's bytes, which are current.
    let mut client = MockSecretsClient::new();
    let mut order = Sequence::new();
    let slot = slot::id(&Version::new("v1"), 1);
    client.expect_put().once().returning(|_| Err(CallError::new(Failure::Disconnected)));
    let theirs = version(&slot, &[CURRENT]);
    let current = theirs.clone();
    client
        .expect_get()
        .withf(|_, select| matches!(select, Select::Id(_)))
        .once()
        .in_sequence(&mut order)
        .returning(move |_, _| Ok(theirs.clone()));
    client
        .expect_get()
        .withf(|_, select| *select == Select::Current)
        .once()
        .in_sequence(&mut order)
        .returning(move |_, _| Ok(current.clone()));
    let conflict = store(client).await.unwrap();
    let StoreOutcome::Conflict { current: Some(current) } = conflict else { panic!("{conflict:?}") };
    assert_eq!(*current.version(), Version::new(slot));
}

#[tokio::test]
async fn a_refusal_after_a_request_without_an_answer_is_looked_into() {
    for (stored, outcome) in [(true, None), (false, Some(Outcome::Unknown))] {
        let sent = Arc::new(Mutex::new(None));
        let mut client = MockSecretsClient::new();
        let keep = Arc::clone(&sent);
        client.expect_put().once().returning(move |put| {
            *keep.lock().unwrap() = Some(put.value.clone());
            Err(CallError { unanswered: true, ..CallError::answered(400, "ThrottlingException") })
        });
        client.expect_get().withf(|_, select| matches!(select, Select::Id(_))).once().returning(
            move |_, _| {
                let value = sent.lock().unwrap().clone().filter(|_| stored);
                let missing = CallError::answered(400, "ResourceNotFoundException");
                Ok(SecretVersion { value: value.ok_or(missing)?, ..version("v2", &[CURRENT]) })
            },
        );
        client
            .expect_get()
            .withf(|_, select| *select == Select::Previous)
            .times(usize::from(stored))
            .returning(|_, _| Ok(version("v1", &[PREVIOUS])));
        assert_eq!(store(client).await.map_err(|error| error.outcome()).err(), outcome);
    }
}

#[tokio::test]
async fn a_suffixed_name_that_may_not_be_read_is_asked_for_without_its_suffix() {
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

#[tokio::test]
async fn only_a_secret_whose_primary_is_elsewhere_is_a_replica() {
    // The longest one that the service gives, too.
    let longest = ARN.replace("ksm-", &format!("{}-", "n".repeat(512)));
    for (arn, primary, kind) in [
        (ARN, "eu-west-1", ErrorKind::ReadOnly),
        (ARN, "us-east-1", ErrorKind::InvalidArgument),
        (&longest, "us-east-1", ErrorKind::InvalidArgument),
    ] {
        let mut client = MockSecretsClient::new();
        let found = SecretVersion { arn: arn.to_owned(), ..version("v1", &[CURRENT]) };
        client.expect_get().once().returning(move |_, _| Ok(found.clone()));
        client.expect_put().once().returning(|_| Err(CallError::answered(400, "InvalidParameterException")));
        client.expect_primary_region().once().returning(|_| Ok(Some(primary.to_owned())));
        let backend = backend(client, Concurrency::Optimistic);
        let version = backend.load().await.unwrap().version().clone();
        let error = backend.store(&version, &Payload::from("{}")).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (kind, Outcome::NotApplied));
    }
}

#[tokio::test]
async fn what_is_too_large_with_its_nonce_is_not_put() {
    let backend = backend(MockSecretsClient::new(), Concurrency::Strict);
    let limit = backend.capabilities().max_payload.unwrap();
    assert_eq!(limit, MAX_VALUE - ksm_storage_core::NONCE_LEN);
    let payload = Payload::from("x".repeat(limit + 1));
    let error = backend.store(&Version::new("v1"), &payload).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::TooLarge, Outcome::NotApplied));
}

#[tokio::test]
async fn a_strict_write_is_staged_and_moved_once() {
    for refused in [false, true] {
        let mut client = MockSecretsClient::new();
        client
            .expect_put()
            .withf(|put| put.label.is_some())
            .once()
            .returning(|put| Ok(PutReply { id: put.token.clone(), labels: vec!["staged".to_owned()] }));
        let moved = move |_: &_| {
            if refused { Err(CallError::answered(400, "InvalidParameterException")) } else { Ok(()) }
        };
        client
            .expect_move_current()
            .withf(|request| request.from == "v1" && request.to == slot::id(&Version::new("v1"), 1))
            .once()
            .returning(moved);
        client.expect_get().times(usize::from(refused)).returning(|_, _| Ok(version("v2", &[CURRENT])));
        let backend = backend(client, Concurrency::Strict);
        let stored = backend.store(&Version::new("v1"), &Payload::from("{}")).await.unwrap();
        assert_eq!(matches!(stored, StoreOutcome::Conflict { .. }), refused, "{stored:?}");
    }
}

#[tokio::test]
async fn the_full_arn_is_used_once_it_is_known() {
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

/// A strict put that starts the secret, whose answer shows these labels.
async fn first_value(
    labels: &'static [&'static str],
    took: Duration,
) -> ksm_storage_core::Result<StoreOutcome> {
    let mut client = MockSecretsClient::new();
    let clock = Arc::new(Later::default());
    let late = Arc::clone(&clock);
    client.expect_put().once().returning(move |put| {
        late.0.fetch_add(u64::try_from(took.as_millis()).unwrap(), Ordering::Relaxed);
        Ok(PutReply { id: put.token.clone(), labels: labels.iter().map(|&label| label.to_owned()).collect() })
    });
    let id = "ksm".parse().unwrap();
    let backend = AwsSecretBackend::with_clock(Arc::new(client), id, "us-east-1", Concurrency::Strict, clock);
    backend.store(&Version::new(NO_VALUE), &Payload::from("{}")).await
}

/// A clock that stands still until it is put on.
#[derive(Debug, Default)]
struct Later(AtomicU64);

#[async_trait::async_trait]
impl Clock for Later {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    async fn sleep(&self, _: Duration) {}

    async fn alarm(&self, _: Duration) {}

    fn random(&self) -> u64 {
        0
    }
}

#[tokio::test]
async fn a_first_value_is_current_at_once_however_long_its_put_took() {
    for took in [Duration::ZERO, Duration::from_secs(10)] {
        let stored = first_value(&[CURRENT, "staged"], took).await.unwrap();
        assert!(matches!(stored, StoreOutcome::Committed { .. }), "{stored:?}");
    }
}

#[tokio::test]
async fn a_first_value_that_shows_no_label_may_have_been_current() {
    let error = first_value(&[], Duration::ZERO).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Conflict, Outcome::Unknown));
}

#[tokio::test]
async fn a_stager_that_took_long_does_not_move_the_label() {
    for (took, moves) in [(999, 1), (1000, 0)] {
        let mut client = MockSecretsClient::new();
        let clock = Arc::new(Later::default());
        let late = Arc::clone(&clock);
        client.expect_put().once().returning(move |put| {
            late.0.fetch_add(took, Ordering::Relaxed);
            Ok(PutReply { id: put.token.clone(), labels: vec!["staged".to_owned()] })
        });
        client.expect_move_current().times(moves).returning(|_| Ok(()));
        let id = "ksm".parse().unwrap();
        let backend =
            AwsSecretBackend::with_clock(Arc::new(client), id, "us-east-1", Concurrency::Strict, clock);
        let stored = backend.store(&Version::new("v1"), &Payload::from("{}")).await.unwrap();
        let conflict = matches!(stored, StoreOutcome::Conflict { current: None });
        assert_eq!(conflict, moves == 0, "{stored:?}");
    }
}

#[tokio::test]
async fn a_slot_that_cannot_be_looked_into_is_not_taken_for_free() {
    let mut client = MockSecretsClient::new();
    client.expect_put().once().returning(|_| Err(CallError::answered(400, "ResourceExistsException")));
    client.expect_get().returning(|_, select| match select {
        Select::Current => Ok(version("v1", &[CURRENT])),
        _ => Err(CallError::answered(400, "AccessDeniedException")),
    });
    assert_eq!(store(client).await.unwrap_err().kind(), ErrorKind::AccessDenied);
}

#[tokio::test]
async fn only_the_first_value_of_a_secret_displaces_nothing_where_nothing_is_previous() {
    let (missing, denied) = ("ResourceNotFoundException", "AccessDeniedException");
    for (expected, code, nothing) in
        [(NO_VALUE, missing, true), (NO_VALUE, denied, false), ("v1", missing, false)]
    {
        let mut client = MockSecretsClient::new();
        client.expect_put().once().returning(|put| Ok(acknowledged(put)));
        client.expect_get().once().returning(move |_, _| Err(CallError::answered(400, code)));
        let backend = backend(client, Concurrency::Optimistic);
        let stored = backend.store(&Version::new(expected), &Payload::from("{}")).await.unwrap();
        let StoreOutcome::Committed { displaced, .. } = stored else { panic!("{stored:?}") };
        let wanted = if nothing { Displaced::Nothing } else { Displaced::Unverified };
        assert_eq!(displaced, wanted, "{expected} {code}");
    }
}

#[tokio::test]
async fn where_nothing_more_can_be_learnt_of_what_was_displaced_nothing_more_is_read() {
    let token = slot::id(&Version::new("v1"), 1);
    for (previous, gets) in [("v1", 1), (&*token, 1), ("another", 2)] {
        let mut client = MockSecretsClient::new();
        client.expect_put().once().returning(|put| Ok(acknowledged(put)));
        let read = previous.to_owned();
        client.expect_get().times(gets).returning(move |_, _| Ok(version(&read, &[PREVIOUS])));
        let stored = store(client).await.unwrap();
        let StoreOutcome::Committed { displaced, .. } = stored else { panic!("{stored:?}") };
        let wanted = if previous == "v1" { Displaced::Nothing } else { Displaced::Unverified };
        assert_eq!(displaced, wanted);
    }
}
