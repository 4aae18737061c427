use ksm_storage_core::{
    ConfigKey::Url, Displaced, ErrorKind, Outcome, Payload, StorageBackend, StoreOutcome, Version, Writes,
};

use crate::{
    StoreFault, SystemUnderTest,
    failure::{Checked, ensure},
};

pub(super) async fn c07_a_foreign_write_before_the_load_is_respected(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    store.write(Some("{}".into())).await;
    let backend = store.open().await;
    let before = backend.load().await?;
    store.write(Some(r#"{"foreign":1}"#.into())).await;
    tokio::time::sleep(store.limits().staleness).await;
    let loaded = backend.load().await?;
    ensure!(loaded.payload() == Some(&r#"{"foreign":1}"#.into()), "a foreign write is not loaded");
    ensure!(
        loaded.version() != before.version(),
        "a foreign write has the version of the value that it replaced"
    );
    let outcome = backend.store(loaded.version(), &Payload::from(r#"{"foreign":1,"own":1}"#)).await?;
    ensure!(
        matches!(outcome, StoreOutcome::Committed { displaced: Displaced::Nothing, .. }),
        "with no other writer, a store on a foreign version is not a commit that displaces nothing: {outcome:?}"
    );
    Ok(())
}

/// An exact backend refuses; a cooperative one reports the displaced write.
pub(super) async fn c07_an_exact_backend_excludes_foreign_writers(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    store.write(Some("{}".into())).await;
    let backend = store.open().await;
    let expected = backend.load().await?.version().clone();
    store.write(Some(r#"{"foreign":1}"#.into())).await;
    let outcome = backend.store(&expected, &Payload::from(r#"{"own":1}"#)).await?;
    if backend.capabilities().writes == Writes::Exact {
        ensure!(
            matches!(outcome, StoreOutcome::Conflict { .. }),
            "a foreign write was displaced: {outcome:?}"
        );
        ensure!(store.read().await == Some(r#"{"foreign":1}"#.into()), "the foreign write is lost");
    } else {
        let unseen = matches!(outcome, StoreOutcome::Committed { displaced: Displaced::Nothing, .. });
        ensure!(!unseen, "a foreign write was displaced, and not reported");
    }
    Ok(())
}

pub(super) async fn c07_a_displaced_version_is_reported(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench("{}").await?;
    let foreign = Version::new("foreign-1");
    let inspect = Some("show-version foreign-1".to_owned());
    let displaced = Displaced::Foreign { version: foreign.clone(), inspect };
    bench.probe.fail_stores([StoreFault::Displaced(displaced)]);
    let error = bench.handle.set(Url, "own").await.err().ok_or("a displaced version was not reported")?;
    ensure!(error.kind() == ErrorKind::Displaced, "it was reported as {:?}", error.kind());
    ensure!(error.outcome() == Outcome::Applied, "its outcome is {:?}", error.outcome());
    ensure!(error.displaced() == Some(&foreign), "the error does not name the version");
    ensure!(
        error.to_string().contains("show-version foreign-1"),
        "the error contains no command to inspect it: {error}"
    );
    ensure!(bench.stored_value(Url).await?.as_deref() == Some("own"), "the write was not made");
    ensure!(bench.handle.get(Url).as_deref() == Some("own"), "the write is not read");
    Ok(())
}

pub(super) async fn c07_an_unverified_write_is_good(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench("{}").await?;
    bench.probe.fail_stores([StoreFault::Displaced(Displaced::Unverified)]);
    bench.handle.set(Url, "own").await?;
    ensure!(bench.probe.calls().1 == 1, "the write was made twice");
    ensure!(bench.stored_value(Url).await?.as_deref() == Some("own"), "the write was not made");
    Ok(())
}
