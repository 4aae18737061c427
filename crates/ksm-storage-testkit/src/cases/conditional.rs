use std::{collections::HashSet, sync::Arc};

use ksm_storage_core::{
    ConfigKey::{Hostname, Url},
    ErrorKind, Outcome, Payload, StorageBackend, StoreOutcome, Version,
};
use tokio::sync::Barrier;

use crate::{
    Failure, SystemUnderTest,
    failure::{Checked, ensure},
};

async fn committed(
    backend: &dyn StorageBackend,
    expected: &Version,
    payload: &str,
) -> Result<Version, Failure> {
    match backend.store(expected, &Payload::from(payload)).await? {
        StoreOutcome::Committed { version, .. } => Ok(version),
        StoreOutcome::Conflict { .. } => Err("a store on the current version ended in a conflict".into()),
    }
}

pub(super) async fn c06_one_store_per_version_is_committed(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    store.write(Some("{}".into())).await;
    let (one, other) = (store.open().await, store.open().await);
    let (expected, seen) = (one.load().await?.version().clone(), other.load().await?.version().clone());
    committed(&*one, &expected, r#"{"a":1}"#).await?;
    let outcome = other.store(&seen, &Payload::from(r#"{"b":1}"#)).await?;
    let StoreOutcome::Conflict { current, .. } = outcome else {
        return Err("two stores on one version are committed".into());
    };
    if let Some(current) = current {
        ensure!(
            current.payload() == Some(&r#"{"a":1}"#.into()),
            "the conflict contains another value than the stored one"
        );
    }
    ensure!(
        store.read().await == Some(r#"{"a":1}"#.into()),
        "the first of two stores on one version is lost"
    );
    Ok(())
}

pub(super) async fn c06_equal_payloads_do_not_both_win(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    store.write(Some("{}".into())).await;
    let (one, other) = (store.open().await, store.open().await);
    let (expected, seen) = (one.load().await?.version().clone(), other.load().await?.version().clone());
    committed(&*one, &expected, r#"{"count":1}"#).await?;
    let outcome = other.store(&seen, &Payload::from(r#"{"count":1}"#)).await?;
    ensure!(
        matches!(outcome, StoreOutcome::Conflict { .. }),
        "two stores of equal payloads on one version both win"
    );
    Ok(())
}

pub(super) async fn c06_racing_stores_have_one_winner(sut: SystemUnderTest) -> Checked {
    const RACERS: usize = 4;
    let store = sut.fixture.fresh().await;
    store.write(Some("{}".into())).await;
    for round in 0..20 {
        let expected = store.open().await.load().await?.version().clone();
        let barrier = Arc::new(Barrier::new(RACERS));
        let mut racers = Vec::new();
        for _ in 0..RACERS {
            let (backend, expected, barrier) = (store.open().await, expected.clone(), Arc::clone(&barrier));
            racers.push(tokio::spawn(async move {
                // Loads first, in case the backend pins the version that it has read.
                backend.load().await?;
                barrier.wait().await;
                backend.store(&expected, &Payload::from(format!(r#"{{"round":{round}}}"#))).await
            }));
        }
        let mut winners = 0;
        for racer in racers {
            let outcome = racer.await.map_err(|error| error.to_string())??;
            winners += usize::from(matches!(outcome, StoreOutcome::Committed { .. }));
        }
        ensure!(winners == 1, "{winners} of {RACERS} racing stores on one version were committed");
    }
    Ok(())
}

pub(super) async fn c06_a_version_does_not_come_back_with_its_content(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    store.write(Some("{}".into())).await;
    let backend = store.open().await;
    let mut current = backend.load().await?.version().clone();
    let first = current.clone();
    let mut seen = HashSet::from([current.clone()]);
    for payload in [r#"{"a":1}"#, "{}", r#"{"a":1}"#, "{}"] {
        current = committed(&*backend, &current, payload).await?;
        ensure!(seen.insert(current.clone()), "a version identifies two store events");
    }
    let outcome = backend.store(&first, &Payload::from("{}")).await?;
    ensure!(matches!(outcome, StoreOutcome::Conflict { .. }), "a store on an outdated version is committed");
    Ok(())
}

pub(super) async fn c06_save_needs_its_base_to_be_current(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench(r#"{"url":"old"}"#).await?;
    let base = bench.handle.snapshot();
    let mut document = base.document().clone();
    document.set(Url, "saved");
    bench.handle.save(&base, document.clone()).await?;
    ensure!(
        bench.stored_value(Url).await?.as_deref() == Some("saved"),
        "a save on the current base is not stored"
    );

    bench.elsewhere().await?.set(Hostname, "kept").await?;
    document.set(Url, "blind");
    for base in [&base, &bench.handle.snapshot()] {
        let error =
            bench.handle.save(base, document.clone()).await.err().ok_or("a save on an old base is stored")?;
        ensure!(error.kind() == ErrorKind::Conflict, "it fails as {:?}", error.kind());
        ensure!(error.outcome() == Outcome::NotApplied, "it claims the outcome {:?}", error.outcome());
    }
    ensure!(bench.stored_value(Hostname).await?.as_deref() == Some("kept"), "an acknowledged write is lost");
    Ok(())
}

pub(super) async fn c06_a_deleted_key_stays_deleted(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench(r#"{"url":"u","hostname":"h"}"#).await?;
    let other = bench.elsewhere().await?;
    ensure!(other.delete(Url).await?, "the key was reported as absent");
    bench.handle.set(Hostname, "new").await?;
    ensure!(
        bench.stored_value(Url).await?.is_none(),
        "a handle that had not seen the deletion has undone it"
    );
    ensure!(bench.handle.get(Url).is_none(), "the deleted key is still read");
    Ok(())
}
