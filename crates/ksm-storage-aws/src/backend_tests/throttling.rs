//! Throttled calls, and the limit of a store's reads.

use super::*;

#[tokio::test(start_paused = true)]
async fn throttled_put_is_repeated_unless_obsolete() {
    let throttled = CallError::answered(400, "ThrottlingException");
    for current in ["v1", "v2"] {
        let mut client = MockSecretsClient::new();
        let mut reads = vec![
            (id(&slot(1)), Err(missing())),
            (Select::Current, Err(throttled.clone())),
            (Select::Current, Ok(version(current, &[CURRENT]))),
        ];
        let mut order = Sequence::new();
        let refusal = throttled.clone();
        client.expect_put().once().in_sequence(&mut order).returning(move |_| Err(refusal.clone()));
        if current == "v1" {
            client.expect_put().once().in_sequence(&mut order).returning(|put| Ok(acknowledged(put)));
            reads.push((id("v1"), Ok(version("v1", &[PREVIOUS]))));
        }
        expect_reads(&mut client, reads);
        match store(client).await.unwrap() {
            StoreOutcome::Committed { displaced, .. } => {
                assert_eq!((current, displaced), ("v1", Displaced::Nothing));
            }
            StoreOutcome::Conflict { current: found, applied_if } => {
                let found = found.map(|found| found.version().as_str().to_owned());
                assert_eq!((found.as_deref(), applied_if), (Some("v2"), Vec::new()));
            }
        }
    }
}

/// Of the deadline, which is 15 s by default, a fifth is left for the report.
#[tokio::test(start_paused = true)]
async fn throttled_load_ends_before_its_deadline() {
    let mut client = MockSecretsClient::new();
    client.expect_get().returning(|_, _| Err(CallError::answered(400, "ThrottlingException")));
    let start = tokio::time::Instant::now();
    let error = backend(client, Concurrency::Optimistic).load().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Throttled, Outcome::NotApplied));
    let seconds = start.elapsed().as_secs_f64();
    assert!((10.0..=12.1).contains(&seconds), "{seconds} s");
}

#[tokio::test]
async fn endless_chain_ends_the_store() {
    let mut client = MockSecretsClient::new();
    client.expect_put().once().returning(|_| Err(CallError::answered(400, "ResourceExistsException")));
    client.expect_get().times(256).returning(|_, select| match select {
        Select::Id(id) => Ok(version(id, &[])),
        other => panic!("a read of {other:?}"),
    });
    let error = store(client).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Conflict, Outcome::NotApplied));
    assert!(error.to_string().contains("too long to follow"), "{error}");
}
