//! Creation of the secret by its first store.

use super::*;

/// The first store of a backend that may create the secret, which is refused with `error`. `found` is what a read of
/// the first version then returns; `None` for the bytes that were sent.
async fn created(
    error: CallError,
    reads: usize,
    found: Option<Result<SecretVersion, CallError>>,
    puts: usize,
) -> ksm_storage_core::Result<StoreOutcome> {
    let mut client = MockSecretsClient::new();
    let sent = Arc::new(Mutex::new(Payload::from("")));
    let keep = Arc::clone(&sent);
    client.expect_create().once().returning(move |create| {
        *keep.lock().unwrap() = create.value.clone();
        Err(error.clone())
    });
    client.expect_get().times(reads).returning(move |_, _| {
        let own = || SecretVersion { value: sent.lock().unwrap().clone(), ..version("first", &[CURRENT]) };
        found.clone().unwrap_or_else(|| Ok(own()))
    });
    let exists = |_: &Put| Err(CallError::answered(400, "ResourceExistsException"));
    client.expect_put().times(puts).returning(exists);
    let mut backend = backend(client, Concurrency::Optimistic);
    Arc::get_mut(&mut backend.0).unwrap().creation = Creation::IfMissing { kms_key_id: None };
    backend.store(&Version::new(NO_VALUE), &Payload::from("{}")).await
}

#[tokio::test]
async fn unanswered_creation_is_looked_up() {
    let lost = CallError::new(Failure::TimedOut);
    let own = created(lost.clone(), 1, None, 0).await.unwrap();
    assert_eq!(own, StoreOutcome::committed(Version::new(NO_VALUE).slot(1)));

    let other = version("first", &[CURRENT]);
    let conflict = created(lost.clone(), 2, Some(Ok(other)), 1).await.unwrap();
    assert!(matches!(conflict, StoreOutcome::Conflict { .. }), "{conflict:?}");

    let error = created(lost, 1, Some(Err(missing())), 0).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::Unknown));
}

#[tokio::test]
async fn refused_creation_is_not_looked_up() {
    let exists = CallError::answered(400, "ResourceExistsException");
    let other = version("first", &[CURRENT]);
    let conflict = created(exists, 1, Some(Ok(other)), 1).await.unwrap();
    assert!(matches!(conflict, StoreOutcome::Conflict { .. }), "{conflict:?}");

    let denied = CallError::answered(400, "AccessDeniedException");
    let error = created(denied, 0, None, 0).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::AccessDenied, Outcome::NotApplied));
}
