//! Unacknowledged writes: the reads that decide whether one took effect.

use super::*;

#[tokio::test]
async fn unanswered_put_is_looked_up() {
    // Nothing there yet: the put may still arrive.
    let mut client = MockSecretsClient::new();
    client.expect_put().once().returning(|_| Err(CallError::new(Failure::Disconnected)));
    expect_reads(&mut client, [(id(&slot(1)), Err(missing()))]);
    assert_eq!(store(client).await.unwrap_err().outcome(), Outcome::Unknown);

    // Another writer's bytes, which are current.
    let mut client = MockSecretsClient::new();
    client.expect_put().once().returning(|_| Err(CallError::new(Failure::Disconnected)));
    expect_reads(&mut client, [(id(&slot(1)), Ok(version(&slot(1), &[CURRENT])))]);
    let conflict = store(client).await.unwrap();
    let StoreOutcome::Conflict { current: Some(current), applied_if } = conflict else {
        panic!("{conflict:?}")
    };
    assert_eq!((current.version().as_str(), applied_if), (&*slot(1), Vec::new()));
}

/// A put answered with `error`, although its bytes are in its slot.
async fn carried_out_and_answered(error: CallError) -> StoreOutcome {
    let sent = Arc::new(Mutex::new(None));
    let mut client = MockSecretsClient::new();
    let keep = Arc::clone(&sent);
    client.expect_put().once().returning(move |put| {
        *keep.lock().unwrap() = Some(put.value.clone());
        Err(error.clone())
    });
    let mut order = Sequence::new();
    client.expect_get().once().in_sequence(&mut order).returning(move |_, select| {
        assert_eq!(*select, id(&slot(1)));
        let value = sent.lock().unwrap().clone().unwrap();
        Ok(SecretVersion { value, ..version(&slot(1), &[CURRENT]) })
    });
    client.expect_get().once().in_sequence(&mut order).returning(|_, select| {
        assert_eq!(*select, id("v1"));
        Ok(version("v1", &[PREVIOUS]))
    });
    store(client).await.unwrap()
}

#[tokio::test]
async fn own_bytes_are_own_write() {
    for error in [
        CallError::new(Failure::TimedOut),
        CallError::answered(400, "ResourceExistsException"),
        CallError::answered(400, "LimitExceededException"),
        CallError { unanswered: true, ..CallError::answered(400, "ThrottlingException") },
    ] {
        let committed = carried_out_and_answered(error).await;
        assert!(
            matches!(committed, StoreOutcome::Committed { displaced: Displaced::Nothing, .. }),
            "{committed:?}"
        );
    }
}

#[tokio::test]
async fn refusal_after_silence_is_unknown() {
    let mut client = MockSecretsClient::new();
    client.expect_put().once().returning(|_| {
        Err(CallError { unanswered: true, ..CallError::answered(400, "ThrottlingException") })
    });
    expect_reads(&mut client, [(id(&slot(1)), Err(missing()))]);
    let error = store(client).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Throttled, Outcome::Unknown));
}

fn strict(mut client: MockSecretsClient, moved: Result<(), CallError>) -> AwsSecretBackend {
    client
        .expect_put()
        .withf(|put| put.label.is_some())
        .once()
        .returning(|put| Ok(PutReply { id: put.token.clone(), labels: vec!["staged".to_owned()] }));
    client
        .expect_move_current()
        .withf(|request| request.from == "v1" && request.to == slot(1))
        .once()
        .returning(move |_| moved.clone());
    backend(client, Concurrency::Strict)
}

#[tokio::test]
async fn strict_write_is_two_calls() {
    let backend = strict(MockSecretsClient::new(), Ok(()));
    let stored = backend.store(&Version::new("v1"), &Payload::from("{}")).await.unwrap();
    assert_eq!(stored, StoreOutcome::committed(Version::new(slot(1))));
}

#[tokio::test]
async fn refused_move_is_looked_into() {
    let after = Version::new(slot(1)).slot(1).as_str().to_owned();
    let token = |labels: &[&str]| (id(&slot(1)), Ok(version(&slot(1), labels)));
    let successor =
        |found: bool| (id(&after), if found { Ok(version(&after, &[CURRENT])) } else { Err(missing()) });
    let base = |labels: &[&str]| (id("v1"), Ok(version("v1", labels)));
    let sibling = |labels: &[&str]| (id(&slot(2)), Ok(version(&slot(2), labels)));
    let refused = CallError::answered(400, "InvalidParameterException");
    let denied = CallError::answered(400, "AccessDeniedException");
    let lost = CallError::new(Failure::TimedOut);
    for (error, reads, committed, outcome) in [
        (&refused, vec![token(&[CURRENT])], true, None),
        (&refused, vec![token(&[PREVIOUS])], true, None),
        (&refused, vec![token(&[]), successor(true)], true, None),
        (&refused, vec![token(&[]), successor(false), base(&[PREVIOUS])], false, None),
        (&refused, vec![token(&[]), successor(false), base(&[]), sibling(&[CURRENT])], false, None),
        (
            &refused,
            vec![token(&[]), successor(false), base(&[]), (id(&slot(2)), Err(missing()))],
            false,
            Some(Outcome::Unknown),
        ),
        (&denied, vec![token(&[CURRENT])], true, None),
        (&denied, vec![token(&[]), successor(false)], false, Some(Outcome::NotApplied)),
        (&lost, vec![token(&[]), successor(true)], true, None),
        (&lost, vec![token(&[]), successor(false)], false, Some(Outcome::Unknown)),
        (&lost, vec![(id(&slot(1)), Err(lost.clone()))], false, Some(Outcome::Unknown)),
    ] {
        let mut client = MockSecretsClient::new();
        let context = format!("{error:?} {reads:?}");
        expect_reads(&mut client, reads);
        let backend = strict(client, Err(error.clone()));
        let stored = backend.store(&Version::new("v1"), &Payload::from("{}")).await;
        assert_eq!(stored.as_ref().err().map(ksm_storage_core::Error::outcome), outcome, "{context}");
        match stored {
            Ok(StoreOutcome::Conflict { applied_if, .. }) => {
                assert!(!committed, "{context}");
                // The staged version, and versions that would be built on it.
                assert_eq!((applied_if[0].as_str(), applied_if[1].as_str()), (&*slot(1), &*after));
            }
            Ok(StoreOutcome::Committed { .. }) => assert!(committed, "{context}"),
            Err(found) => {
                let is_denied = found.kind() == ErrorKind::AccessDenied;
                assert_eq!(is_denied, *error == denied, "{context}: {found}");
            }
        }
    }
}

/// A strict put of a first value whose reply shows these labels.
async fn first_value(
    labels: &'static [&'static str],
    successor: Option<Result<SecretVersion, CallError>>,
) -> ksm_storage_core::Result<StoreOutcome> {
    let mut client = MockSecretsClient::new();
    client.expect_put().once().returning(move |put| {
        Ok(PutReply { id: put.token.clone(), labels: labels.iter().map(|&label| label.to_owned()).collect() })
    });
    let next = Version::new(NO_VALUE).slot(1).slot(1);
    expect_reads(&mut client, successor.map(|answer| (id(next.as_str()), answer)));
    backend(client, Concurrency::Strict).store(&Version::new(NO_VALUE), &Payload::from("{}")).await
}

#[tokio::test]
async fn first_value_is_current_at_once() {
    let stored = first_value(&[CURRENT, "staged"], None).await.unwrap();
    assert!(matches!(stored, StoreOutcome::Committed { .. }), "{stored:?}");
}

#[tokio::test]
async fn unlabelled_first_value_is_looked_into() {
    let stored = first_value(&[], Some(Ok(version("next", &[])))).await.unwrap();
    assert!(matches!(stored, StoreOutcome::Committed { .. }), "{stored:?}");
    let error = first_value(&[], Some(Err(missing()))).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Conflict, Outcome::Unknown));
}

#[tokio::test]
async fn unreadable_slot_is_not_free() {
    let mut client = MockSecretsClient::new();
    client.expect_put().once().returning(|_| Err(CallError::answered(400, "ResourceExistsException")));
    let denied = CallError::answered(400, "AccessDeniedException");
    expect_reads(&mut client, [(id(&slot(1)), Err(denied))]);
    let error = store(client).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::AccessDenied, Outcome::Unknown));
}

#[tokio::test]
async fn unfindable_slot_is_unavailable() {
    let mut client = MockSecretsClient::new();
    client.expect_put().once().returning(|_| Err(CallError::answered(400, "ResourceExistsException")));
    expect_reads(&mut client, [(id(&slot(1)), Err(missing()))]);
    let error = store(client).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::Unknown));
    assert!(error.to_string().contains("cannot find it"), "{error}");
}
