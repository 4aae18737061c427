use ksm_storage_core::{
    ConfigDocument,
    ConfigKey::{self, Hostname, Url},
    Error, ErrorKind, Outcome, Payload, StorageBackend, StoreOutcome,
};

use crate::{
    LoadFault, StoreFault, SystemUnderTest,
    failure::{Checked, ensure},
};

pub(super) async fn c03_an_acknowledged_store_is_there(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    store.write(Some("{}".into())).await;
    let (backend, other) = (store.open().await, store.open().await);
    other.load().await?;
    for round in 0..4 {
        let payload = Payload::from(format!(r#"{{"round": {round}}}"#));
        let expected = backend.load().await?.version().clone();
        let StoreOutcome::Committed { version, .. } = backend.store(&expected, &payload).await? else {
            return Err("a store on the current version was not committed".into());
        };
        ensure!(store.read().await == Some(payload.clone()), "the acknowledged document is not stored");
        tokio::time::sleep(store.limits().staleness).await;
        let loaded = other.load().await?;
        ensure!(loaded.payload() == Some(&payload), "another handle loads something else");
        ensure!(
            backend.load().await?.version().clone() == version,
            "the acknowledged version is not the loaded one"
        );
    }
    Ok(())
}

pub(super) async fn c04_a_store_that_is_not_acknowledged_changes_nothing(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    store.write(Some("{}".into())).await;
    let backend = store.open().await;
    let first = backend.load().await?.version().clone();
    for (expected, name) in [(first.clone(), "current"), (first, "outdated")] {
        let before = store.read().await;
        let payload = Payload::from(format!(r#"{{"on": "{name}"}}"#));
        let refused = match backend.store(&expected, &payload).await {
            Ok(outcome) => matches!(outcome, StoreOutcome::Conflict { .. }),
            Err(error) => error.outcome() == Outcome::NotApplied,
        };
        ensure!(
            !refused || store.read().await == before,
            "a store on the {name} version was refused but applied"
        );
    }
    Ok(())
}

pub(super) async fn c09_a_payload_is_stored_whole(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    store.write(Some("{}".into())).await;
    let backend = store.open().await;
    let limit = backend.capabilities().max_payload.unwrap_or(ConfigDocument::MAX_LEN);
    for size in [2, 100, 4_096, 30_000] {
        let payload = Payload::from(format!("{{}}{}", " ".repeat(size.min(limit.saturating_sub(100)))));
        let expected = backend.load().await?.version().clone();
        backend.store(&expected, &payload).await?;
        tokio::time::sleep(store.limits().staleness).await;
        let loaded = store.open().await.load().await?.payload().cloned();
        ensure!(loaded == Some(payload), "a payload of {size} bytes was loaded as a different one");
    }
    Ok(())
}

pub(super) async fn c03_an_acknowledged_write_is_seen_by_a_fresh_open(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench("{}").await?;
    for round in ["1", "2", "3"] {
        bench.handle.set(Url, round).await?;
        ensure!(bench.stored_value(Url).await?.as_deref() == Some(round), "round {round} is not stored");
        tokio::time::sleep(bench.store.limits().staleness).await;
        ensure!(
            bench.elsewhere().await?.get(Url).as_deref() == Some(round),
            "a fresh open does not see round {round}"
        );
    }
    Ok(())
}

pub(super) async fn c03_a_failed_store_is_not_acknowledged(sut: SystemUnderTest) -> Checked {
    for outcome in [Outcome::NotApplied, Outcome::Unknown] {
        let bench = sut.bench("{}").await?;
        let error = Error::new(ErrorKind::Unavailable, "on demand").with_outcome(outcome);
        bench.probe.fail_stores([StoreFault::Fail(error)]);
        let error =
            bench.handle.set(Url, "lost").await.err().ok_or("a write was acknowledged but not applied")?;
        ensure!(error.kind() == ErrorKind::Unavailable, "it is reported as {:?}", error.kind());
        ensure!(error.outcome() == outcome, "the outcome {outcome:?} is reported as {:?}", error.outcome());
    }
    Ok(())
}

pub(super) async fn c04_a_refused_change_leaves_no_trace(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench(r#"{"url":"old"}"#).await?;
    let change = |document: &mut ConfigDocument| {
        document.set(Url, "half");
        Err(Error::refused("on second thoughts"))
    };
    let error = bench.handle.update(Box::new(change)).await.err().ok_or("a refusal was not reported")?;
    ensure!(error.kind() == ErrorKind::Refused, "it was reported as {:?}", error.kind());
    ensure!(bench.probe.calls().1 == 0, "a refused change was sent to the store");
    ensure!(bench.stored_value(Url).await?.as_deref() == Some("old"), "half of a refused change is stored");
    ensure!(bench.handle.get(Url).as_deref() == Some("old"), "half of a refused change is read");
    Ok(())
}

pub(super) async fn c04_a_failed_write_leaves_store_and_snapshot(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench(r#"{"url":"old"}"#).await?;
    let error = Error::new(ErrorKind::AccessDenied, "on demand").with_outcome(Outcome::NotApplied);
    bench.probe.fail_stores([StoreFault::Fail(error)]);
    let failed = bench.handle.set(Url, "new").await;
    ensure!(failed.is_err(), "the failure was not reported");
    ensure!(bench.stored_value(Url).await?.as_deref() == Some("old"), "the store has changed");
    ensure!(bench.handle.get(Url).as_deref() == Some("old"), "the snapshot has changed");
    bench.handle.set(Url, "new").await?;
    ensure!(
        bench.stored_value(Url).await?.as_deref() == Some("new"),
        "a repetition of the write is not applied"
    );
    Ok(())
}

pub(super) async fn c05_every_commit_begins_with_a_load(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench("{}").await?;
    for round in 1..=3 {
        let (loads, stores) = bench.probe.calls();
        bench.handle.set(Url, &round.to_string()).await?;
        let after = bench.probe.calls();
        ensure!(after == (loads + 1, stores + 1), "a write took {:?} loads and stores in all", after);
    }
    Ok(())
}

pub(super) async fn c08_what_changes_nothing_stores_nothing(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench(r#"{"url":"same"}"#).await?;
    let raw = bench.store.read().await;
    bench.handle.set(Url, "same").await?;
    ensure!(!bench.handle.delete(Hostname).await?, "an absent key was reported as present");
    let there_and_back = |document: &mut ConfigDocument| {
        document.set(Url, "other");
        document.set(Url, "same");
        Ok(String::new())
    };
    bench.handle.update(Box::new(there_and_back)).await?;
    bench.handle.replace(bench.handle.snapshot().document().clone()).await?;
    ensure!(bench.probe.calls().1 == 0, "{} stores were made", bench.probe.calls().1);
    ensure!(bench.store.read().await == raw, "the stored document was rewritten");
    Ok(())
}

pub(super) async fn c08_no_result_comes_from_the_snapshot_alone(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench(r#"{"url":"same"}"#).await?;
    let (loads, _) = bench.probe.calls();
    bench.handle.set(Url, "same").await?;
    ensure!(bench.probe.calls().0 > loads, "a write that changes nothing did not load");
    // Now the snapshot holds "same" and the store something else.
    bench.store.write(Some(r#"{"url":"foreign"}"#.into())).await;
    bench.handle.set(Url, "same").await?;
    ensure!(
        bench.stored_value(Url).await?.as_deref() == Some("same"),
        "an acknowledged write was never applied"
    );
    bench.store.write(Some(r#"{"url":"same","hostname":"h"}"#.into())).await;
    ensure!(bench.handle.delete(Hostname).await?, "a key that the store has was reported absent");
    Ok(())
}

/// A load whose value already contains the change may be stale, and no store shows that it is.
pub(super) async fn c08_a_stale_load_ends_no_write(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench(r#"{"url":"same","hostname":"h"}"#).await?;
    let stale = bench.probe.load().await?;
    bench.store.write(Some(r#"{"url":"other"}"#.into())).await;
    bench.probe.fail_loads([LoadFault::Return(stale.clone()), LoadFault::Return(stale.clone())]);
    bench.handle.set(Url, "same").await?;
    ensure!(
        bench.stored_value(Url).await?.as_deref() == Some("same"),
        "a write that a stale load made unnecessary was acknowledged"
    );
    bench.store.write(Some(r#"{"url":"same"}"#.into())).await;
    let stale = bench.probe.load().await?;
    bench.store.write(Some(r#"{"hostname":"h"}"#.into())).await;
    bench.probe.fail_loads([LoadFault::Return(stale)]);
    ensure!(bench.handle.delete(Hostname).await?, "a key that a stale load lacks was reported absent");
    Ok(())
}

pub(super) async fn c10_unknown_keys_and_values_survive(sut: SystemUnderTest) -> Checked {
    let kept = [
        r#""appUid": "kept""#,
        r#""big": 123456789012345678901234567890.50"#,
        r#""exponent": 1e400"#,
        r#""nested": { "a" : [ 1 , null , "\/" ] }"#,
        r#""nothing": null"#,
        r#""serverPublicKeyId": 10"#,
    ];
    let bench = sut.bench(&format!("{{{}}}", kept.join(","))).await?;
    bench.handle.set(Url, "u").await?;
    bench.handle.delete(Url).await?;
    let set = |document: &mut ConfigDocument| {
        document.set(ConfigKey::Bat, "b");
        Ok(String::new())
    };
    bench.handle.update(Box::new(set)).await?;
    let payload = bench.store.read().await.ok_or("nothing is stored")?;
    let text = String::from_utf8_lossy(payload.as_bytes());
    for entry in kept {
        ensure!(text.contains(entry), "{entry} did not survive");
    }
    Ok(())
}

pub(super) async fn c11_delete_all_stores_an_empty_object(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench(r#"{"url":"u","appUid":"unknown"}"#).await?;
    bench.handle.delete_all().await?;
    ensure!(bench.store.read().await == Some("{}".into()), "the stored document is not `{{}}`");
    ensure!(bench.handle.snapshot().is_empty(), "the snapshot still has keys");
    ensure!(bench.elsewhere().await?.snapshot().is_empty(), "a fresh open finds keys");
    Ok(())
}
