use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ksm_storage_core::{ConfigKey::Url, Error, ErrorKind, StorageBackend};

use crate::{
    LoadFault, SystemUnderTest,
    failure::{Checked, ensure},
};

pub(super) async fn c02_reads_do_no_io_and_wait_for_nobody(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench(r#"{"url":"old"}"#).await?;
    let before = bench.probe.calls();
    ensure!(bench.handle.get(Url).as_deref() == Some("old"), "the value is wrong");
    ensure!(bench.probe.calls() == before, "a read made a call");

    bench.probe.stores().close();
    let writer = bench.handle.another();
    let write = tokio::spawn(async move { writer.set(Url, "new").await });
    bench.probe.stores().arrived(1).await;
    let start = Instant::now();
    let during = bench.handle.get(Url);
    let took = start.elapsed();
    bench.probe.stores().open();
    write.await.map_err(|error| error.to_string())??;
    ensure!(took < Duration::from_secs(1), "a read waited {took:?} for a writer");
    ensure!(during.as_deref() == Some("old"), "a read saw a write that was not acknowledged yet");
    ensure!(bench.handle.get(Url).as_deref() == Some("new"), "a read does not see the handle's own write");
    Ok(())
}

pub(super) async fn c02_a_refresh_is_as_new_as_its_call(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench(r#"{"url":"old"}"#).await?;
    bench.probe.loads().close();
    let first = bench.handle.another();
    let first = tokio::spawn(async move { first.refresh().await });
    bench.probe.loads().arrived(1).await;
    // The first refresh has read by now. The next write is for the second one.
    bench.store.write(Some(r#"{"url":"new"}"#.into())).await;
    let second = bench.handle.another();
    let second = tokio::spawn(async move { second.refresh().await });
    // Gives the second refresh every chance to join the first.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bench.probe.loads().open();
    first.await.map_err(|error| error.to_string())??;
    let snapshot = second.await.map_err(|error| error.to_string())??;
    let url = ksm_storage_core::ExposeSecret::expose_secret(snapshot.get(Url).ok_or("the key is gone")?);
    ensure!(url == "new", "a refresh returned a value read before the call");
    Ok(())
}

pub(super) async fn c02_a_stale_load_is_read_again(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench(r#"{"url":"old"}"#).await?;
    let stale = bench.probe.load().await?;
    bench.handle.set(Url, "new").await?;
    bench.probe.fail_loads([LoadFault::Return(stale.clone()), LoadFault::Return(stale)]);
    bench.handle.refresh().await?;
    ensure!(bench.handle.get(Url).as_deref() == Some("new"), "a stale load went back in time");
    Ok(())
}

pub(super) async fn c02_an_unconfirmed_rollback_is_not_believed(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench(r#"{"url":"old"}"#).await?;
    let old = bench.probe.load().await?;
    bench.handle.set(Url, "new").await?;
    bench.probe.fail_loads(vec![LoadFault::Return(old); 50]);
    let error = bench.handle.refresh().await.err().ok_or("an unconfirmed rollback was accepted")?;
    ensure!(error.kind() == ErrorKind::Timeout, "it was reported as {:?}", error.kind());
    ensure!(bench.handle.get(Url).as_deref() == Some("new"), "an unconfirmed rollback can be read");
    Ok(())
}

pub(super) async fn c02_a_confirmed_rollback_is_believed(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench(r#"{"url":"old"}"#).await?;
    let old = bench.probe.load().await?;
    bench.handle.set(Url, "new").await?;
    bench.probe.fail_loads([LoadFault::RolledBack(old)]);
    let start = bench.now();
    bench.handle.refresh().await?;
    ensure!(bench.handle.get(Url).as_deref() == Some("old"), "a confirmed rollback was not accepted");
    ensure!(
        bench.now().saturating_sub(start) < Duration::from_secs(2),
        "a confirmed rollback was accepted too late"
    );
    Ok(())
}

pub(super) async fn c04_a_failed_refresh_leaves_the_snapshot(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench(r#"{"url":"kept"}"#).await?;
    bench.probe.fail_loads([LoadFault::Fail(Error::new(ErrorKind::Unavailable, "on demand"))]);
    let error = bench.handle.refresh().await.err().ok_or("the failure was not reported")?;
    ensure!(error.kind() == ErrorKind::Unavailable, "it was reported as {:?}", error.kind());
    ensure!(bench.handle.get(Url).as_deref() == Some("kept"), "the snapshot is gone");

    bench.store.write(Some("no document".into())).await;
    let error = bench.handle.refresh().await.err().ok_or("an unreadable store was not reported")?;
    ensure!(error.kind() == ErrorKind::InvalidConfig, "it was reported as {:?}", error.kind());
    bench.store.write(None).await;
    let error = bench.handle.refresh().await.err().ok_or("a removed store was not reported")?;
    ensure!(error.kind() == ErrorKind::NotFound, "it was reported as {:?}", error.kind());
    ensure!(Arc::clone(&bench.handle).get(Url).as_deref() == Some("kept"), "the snapshot is gone");
    Ok(())
}
