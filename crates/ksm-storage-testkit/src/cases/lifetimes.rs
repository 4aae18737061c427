//! Cases about versions and absence over the lifetime of a store: emptied, removed, recreated.

use std::collections::HashSet;

use ksm_storage_core::{Error, ErrorKind, Payload, StorageBackend, StoreOutcome, Stored, Version};

use crate::{
    Failure, Store, SystemUnderTest,
    failure::{Checked, ensure},
};

const PAYLOADS: [&str; 2] = [r#"{"url":"first"}"#, r#"{"url":"second"}"#];

async fn committed(backend: &dyn StorageBackend, expected: &Version, json: &str) -> Result<Version, Failure> {
    match backend.store(expected, &Payload::from(json)).await? {
        StoreOutcome::Committed { version, .. } => Ok(version),
        StoreOutcome::Conflict { .. } => Err("a store on the current version ended in a conflict".into()),
    }
}

/// The version that stands for absence.
fn absence(loaded: Result<Stored, Error>) -> Result<Version, Failure> {
    match loaded? {
        Stored::Absent { version, .. } => Ok(version),
        Stored::Present { .. } => Err("a load returns a payload although nothing is stored".into()),
    }
}

async fn settle(store: &dyn Store) {
    tokio::time::sleep(store.limits().staleness).await;
}

/// The way in which the stored content disappears.
enum End {
    Emptied,
    Recreated,
}

impl End {
    async fn bring_about(&self, store: &dyn Store) -> Checked {
        match self {
            Self::Emptied => store.write(None).await,
            Self::Recreated => {
                store
                    .remove()
                    .await
                    .map_err(|_| Failure::not_checked("the fixture cannot remove a store"))?;
                store.recreate().await;
            }
        }
        settle(store).await;
        Ok(())
    }
}

/// Stores equal documents repeatedly, through the backend and past it: no version identifies two store events.
///
/// A backend opened before may consider a recreated store a different one, and find nothing there.
async fn versions_are_new(sut: SystemUnderTest, end: End) -> Checked {
    const BACK: &str = "a version from before the removal identifies another document";
    let store = sut.fixture.fresh().await;
    store.write(Some(PAYLOADS[0].into())).await;
    settle(&*store).await;
    let backend = store.open().await;
    let first = backend.load().await?.version().clone();
    let mut seen = HashSet::from([first.clone()]);
    let mut current = first.clone();
    for _ in 0..2 {
        for json in PAYLOADS {
            current = committed(&*backend, &current, json).await?;
            ensure!(seen.insert(current.clone()), "{BACK}");
        }
        end.bring_about(&*store).await?;
        let absent = absence(backend.load().await)?;
        ensure!(!seen.contains(&absent), "an absence has the version of a document");
        store.write(Some(PAYLOADS[0].into())).await;
        settle(&*store).await;
        ensure!(store.open().await.load().await?.payload().is_some(), "the value stored again is not found");
        match backend.load().await? {
            Stored::Present { version, .. } => current = version,
            Stored::Absent { .. } => break,
        }
        ensure!(seen.insert(current.clone()), "{BACK}");
    }
    let outcome = backend.store(&first, &Payload::from(PAYLOADS[1])).await;
    ensure!(
        !matches!(outcome, Ok(StoreOutcome::Committed { .. }))
            && store.read().await == Some(PAYLOADS[0].into()),
        "a store on a version from before the removal is committed"
    );
    Ok(())
}

pub(super) async fn c06_emptied_store_has_new_versions(sut: SystemUnderTest) -> Checked {
    versions_are_new(sut, End::Emptied).await
}

pub(super) async fn c06_recreated_store_has_new_versions(sut: SystemUnderTest) -> Checked {
    versions_are_new(sut, End::Recreated).await
}

/// Of two stores on the version of one absence, only one is committed, even if the store is empty again by then.
pub(super) async fn c06_absence_is_used_once(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    let (one, other) = (store.open().await, store.open().await);
    let expected = absence(one.load().await)?;
    absence(other.load().await)?;
    committed(&*one, &expected, PAYLOADS[0]).await?;
    End::Emptied.bring_about(&*store).await?;
    let late = other.store(&expected, &Payload::from(PAYLOADS[1])).await;
    ensure!(
        !matches!(late, Ok(StoreOutcome::Committed { .. })),
        "two stores on the version of one absence are committed, with a deletion in between"
    );
    Ok(())
}

/// A store on a version that no longer exists ends in a conflict or an error, and creates nothing.
pub(super) async fn c12_conflict_creates_nothing(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    store.write(Some(PAYLOADS[0].into())).await;
    let backend = store.open().await;
    let expected = backend.load().await?.version().clone();
    store.write(None).await;
    let outcome = backend.store(&expected, &Payload::from(PAYLOADS[1])).await;
    ensure!(
        !matches!(outcome, Ok(StoreOutcome::Committed { .. })),
        "a store on the version of a value that was deleted is committed"
    );
    ensure!(store.read().await.is_none(), "a store on the version of a value that was deleted creates it");
    Ok(())
}

/// A load from a removed store finds nothing, and a store on its last version does not recreate it.
pub(super) async fn c12_removed_store_stays_removed(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    store.write(Some(PAYLOADS[0].into())).await;
    let backend = store.open().await;
    let expected = backend.load().await?.version().clone();
    store.remove().await.map_err(|_| Failure::not_checked("the fixture cannot remove a store"))?;
    match backend.load().await {
        Ok(Stored::Absent { .. }) => {}
        Ok(Stored::Present { .. }) => return Err("a load returns a payload of a removed store".into()),
        // A store cannot create its container.
        Err(error) => ensure!(error.kind() == ErrorKind::NotFound, "it fails as {:?}", error.kind()),
    }
    let outcome = backend.store(&expected, &Payload::from(PAYLOADS[1])).await;
    ensure!(
        !matches!(outcome, Ok(StoreOutcome::Committed { .. })),
        "a store on a version of a removed store is committed"
    );
    ensure!(store.read().await.is_none(), "a store recreates what was removed");
    Ok(())
}

/// The current version is confirmed. If reads may be stale, versions that are earlier or no longer exist are not.
pub(super) async fn c02_only_current_version_is_confirmed(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    store.write(Some(PAYLOADS[0].into())).await;
    settle(&*store).await;
    let backend = store.open().await;
    let earlier = backend.load().await?.version().clone();
    ensure!(backend.confirm(&earlier).await?, "the current version is not confirmed");
    let current = committed(&*backend, &earlier, PAYLOADS[1]).await?;
    ensure!(backend.confirm(&current).await?, "the version just committed is not confirmed");
    if backend.capabilities().fresh_reads {
        // It may answer without reading, because its loads never return an earlier version.
        return Ok(());
    }
    ensure!(!backend.confirm(&earlier).await?, "an earlier version is confirmed as the current one");
    store.write(None).await;
    settle(&*store).await;
    ensure!(!backend.confirm(&current).await?, "a version is confirmed although nothing is stored");
    Ok(())
}
