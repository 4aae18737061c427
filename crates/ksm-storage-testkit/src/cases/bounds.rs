use std::{future::Future, sync::Arc, time::Duration};

use ksm_storage_core::{
    ConfigDocument,
    ConfigKey::{ServerPublicKeyId, Url},
    Error, ErrorKind, ExposeSecret, Outcome, Payload, StorageBackend, StoreOutcome,
};
use tokio::time::timeout;

use crate::{
    Failure, LoadFault, Probe, StoreFault, SystemUnderTest, TestClock,
    failure::{Checked, ensure},
    handle::{Change, Settings},
};

fn increment() -> Change {
    Box::new(|document| {
        let count =
            document.get(ServerPublicKeyId).and_then(|count| count.expose_secret().parse::<u32>().ok());
        document.set(ServerPublicKeyId, (count.unwrap_or(0) + 1).to_string());
        Ok(String::new())
    })
}

/// The call's error once its deadline has passed in virtual time.
async fn ends_at_the_deadline<T: Send + 'static>(
    (clock, limit): (&TestClock, Duration),
    reached: impl Future<Output = ()>,
    call: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<Error, Failure> {
    let call = tokio::spawn(call);
    reached.await;
    clock.advance(Settings::default().deadline);
    match timeout(limit, call).await {
        Err(_) => Err("it does not end at the deadline".into()),
        Ok(Err(error)) => Err(error.to_string().into()),
        Ok(Ok(Ok(_))) => Err("it succeeds".into()),
        Ok(Ok(Err(error))) => Ok(error),
    }
}

/// Waits until the probe has seen this many loads and stores.
async fn reached(probe: Probe, (loads, stores): (usize, usize)) {
    let there = |(loaded, stored): (usize, usize)| loaded >= loads && stored >= stores;
    while !there(probe.calls()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

pub(super) async fn c14_a_load_ends(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    store.write(Some("{}".into())).await;
    let backend = store.open().await;
    timeout(store.limits().call, backend.load()).await.map_err(|_| "a load does not end")??;
    Ok(())
}

pub(super) async fn c14_a_store_ends(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    store.write(Some("{}".into())).await;
    let backend = store.open().await;
    let limit = store.limits().call;
    let expected =
        timeout(limit, backend.load()).await.map_err(|_| "a load does not end")??.version().clone();
    let payload = Payload::from(r#"{"a":1}"#);
    timeout(limit, backend.store(&expected, &payload)).await.map_err(|_| "a store does not end")??;
    Ok(())
}

pub(super) async fn c15_the_largest_payload_is_stored(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    store.write(Some("{}".into())).await;
    let backend = store.open().await;
    let largest = backend.capabilities().max_payload.unwrap_or(ConfigDocument::MAX_LEN);
    let rest = largest.checked_sub(8).ok_or_else(|| format!("it takes no more than {largest} bytes"))?;
    let payload = Payload::from(format!(r#"{{"a":"{}"}}"#, "x".repeat(rest)));
    let expected = backend.load().await?.version().clone();
    let outcome = backend.store(&expected, &payload).await?;
    ensure!(matches!(outcome, StoreOutcome::Committed { .. }), "it was not committed");
    ensure!(store.read().await == Some(payload), "something else is stored");
    Ok(())
}

pub(super) async fn c09_an_unknown_write_is_made_at_most_once(sut: SystemUnderTest) -> Checked {
    let lost = Error::new(ErrorKind::Unavailable, "on demand");
    for (fault, made) in [(StoreFault::ReplyLost(lost.clone()), 1), (StoreFault::Fail(lost.clone()), 0)] {
        let bench = sut.bench(r#"{"serverPublicKeyId":"0"}"#).await?;
        bench.probe.fail_stores([fault]);
        let error = bench.handle.update(increment()).await.err().ok_or("a lost reply was not reported")?;
        ensure!(error.outcome() == Outcome::Unknown, "its outcome is {:?}", error.outcome());
        let count = bench.stored_value(ServerPublicKeyId).await?;
        ensure!(count == Some(made.to_string()), "the change was applied {count:?} times instead of {made}");
        bench.handle.update(increment()).await?;
        let count = bench.stored_value(ServerPublicKeyId).await?;
        ensure!(
            count == Some((made + 1).to_string()),
            "afterwards the count is {count:?} instead of {}",
            made + 1
        );
        ensure!(bench.handle.get(ServerPublicKeyId) == count, "the snapshot says something else");
    }
    Ok(())
}

pub(super) async fn c09_a_dropped_write_is_made_at_most_once(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench(r#"{"serverPublicKeyId":"0"}"#).await?;
    for _ in 0..2 {
        let (loads, stores) = bench.probe.calls();
        bench.probe.stores().close();
        let writer = bench.handle.another();
        let write = tokio::spawn(async move { writer.update(increment()).await });
        reached(bench.probe.clone(), (loads + 1, stores + 1)).await;
        write.abort();
        let _ = write.await;
        bench.probe.stores().open();
        // Queued behind the rest of the write.
        bench.handle.refresh().await?;
    }
    let count = bench.handle.get(ServerPublicKeyId).ok_or("the key is gone")?;
    ensure!(["0", "1", "2"].contains(&count.as_str()), "two dropped increments resulted in {count}");
    bench.handle.set(ServerPublicKeyId, "7").await?;
    ensure!(
        bench.stored_value(ServerPublicKeyId).await?.as_deref() == Some("7"),
        "the handle no longer works"
    );
    Ok(())
}

pub(super) async fn c14_a_hanging_store_ends_at_the_deadline(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench("{}").await?;
    let limit = bench.store.limits().call;
    bench.probe.fail_stores([StoreFault::Hang]);
    let writer = bench.handle.another();
    let call = async move { writer.set(Url, "u").await };
    let error =
        ends_at_the_deadline((&bench.clock, limit), reached(bench.probe.clone(), (2, 1)), call).await?;
    ensure!(error.kind() == ErrorKind::Timeout, "it ends as {:?}", error.kind());
    ensure!(error.outcome() == Outcome::Unknown, "it claims the outcome {:?}", error.outcome());
    bench.handle.set(Url, "next").await?;
    ensure!(bench.handle.get(Url).as_deref() == Some("next"), "the handle no longer works");
    Ok(())
}

pub(super) async fn c14_a_hanging_load_ends_at_the_deadline(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench("{}").await?;
    let limit = bench.store.limits().call;
    bench.probe.fail_loads([LoadFault::Hang]);
    let reader = bench.handle.another();
    let call = async move { reader.refresh().await };
    let error =
        ends_at_the_deadline((&bench.clock, limit), reached(bench.probe.clone(), (2, 0)), call).await?;
    ensure!(error.kind() == ErrorKind::Timeout, "a refresh ends as {:?}", error.kind());
    ensure!(error.outcome() == Outcome::NotApplied, "a refresh claims the outcome {:?}", error.outcome());
    bench.handle.refresh().await?;

    let probe = Probe::new(bench.store.open().await);
    probe.fail_loads([LoadFault::Hang]);
    let (clock, core) = (TestClock::new(), Arc::clone(&sut.core));
    let settings = Settings { clock: Some(clock.clone()), ..Settings::default() };
    let opening = {
        let probe = probe.clone();
        async move { core.open(Arc::new(probe), settings).await }
    };
    let error = ends_at_the_deadline((&clock, limit), reached(probe, (1, 0)), opening).await?;
    ensure!(error.kind() == ErrorKind::Timeout, "an open ends as {:?}", error.kind());
    Ok(())
}

pub(super) async fn c14_endless_conflict_ends(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench_with("{}", Settings { attempts: 5, ..Settings::default() }).await?;
    bench.probe.fail_stores(vec![StoreFault::Conflict; 10_000]);
    let limit = bench.store.limits().call;
    let result = timeout(limit, bench.handle.set(Url, "u")).await.map_err(|_| "it does not end")?;
    let error = result.err().ok_or("it succeeds")?;
    ensure!(error.kind() == ErrorKind::Conflict, "it ends as {:?}", error.kind());
    ensure!(error.outcome() == Outcome::NotApplied, "it claims the outcome {:?}", error.outcome());
    ensure!(bench.probe.calls().1 == 5, "it made {} attempts, and was allowed 5", bench.probe.calls().1);
    Ok(())
}

pub(super) async fn c15_a_read_only_handle_makes_no_call(sut: SystemUnderTest) -> Checked {
    let settings = Settings { read_only: true, ..Settings::default() };
    let bench = sut.bench_with(r#"{"url":"kept"}"#, settings).await?;
    let (before, base) = (bench.probe.calls(), bench.handle.snapshot());
    let results = [
        bench.handle.set(Url, "u").await,
        bench.handle.set(Url, "kept").await,
        bench.handle.delete(Url).await.map(drop),
        bench.handle.delete_all().await,
        bench.handle.update(increment()).await.map(drop),
        bench.handle.save(&base, ConfigDocument::new()).await,
        bench.handle.replace(ConfigDocument::new()).await,
    ];
    for result in results {
        let error = result.err().ok_or("a write was not refused")?;
        ensure!(error.kind() == ErrorKind::ReadOnly, "it was refused as {:?}", error.kind());
        ensure!(error.outcome() == Outcome::NotApplied, "it claims the outcome {:?}", error.outcome());
    }
    ensure!(bench.probe.calls() == before, "a refused write made a call");
    bench.handle.refresh().await?;
    Ok(())
}

pub(super) async fn c15_what_is_too_large_is_not_sent(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench(r#"{"url":"kept"}"#).await?;
    let limit = bench.probe.capabilities().max_payload.unwrap_or(usize::MAX).min(ConfigDocument::MAX_LEN);
    let error = bench.handle.set(Url, &"x".repeat(limit)).await.err().ok_or("it was stored")?;
    ensure!(error.kind() == ErrorKind::TooLarge, "it was refused as {:?}", error.kind());
    ensure!(error.outcome() == Outcome::NotApplied, "it claims the outcome {:?}", error.outcome());
    ensure!(bench.probe.calls().1 == 0, "it was sent to the store");
    ensure!(bench.handle.get(Url).as_deref() == Some("kept"), "the snapshot has changed");
    Ok(())
}
