//! Checks the fixture itself, because the cases rely on it for the stored content.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use ksm_storage_core::{Payload, StorageBackend};

use crate::{Failure, Fixture, failure::Checked};

/// Results by fixture name: one check is enough for all cases.
static CHECKED: Mutex<BTreeMap<String, Result<(), &'static str>>> = Mutex::new(BTreeMap::new());

/// Fails with a fixture fault unless the `write` and `read` of its stores agree.
pub(crate) async fn check(fixture: &dyn Fixture) -> Checked {
    let name = fixture.name();
    let known = CHECKED.lock().unwrap_or_else(PoisonError::into_inner).get(&name).copied();
    if let Some(result) = known {
        return result.map_err(Failure::fixture);
    }
    let result = run(fixture).await;
    CHECKED.lock().unwrap_or_else(PoisonError::into_inner).insert(name, result);
    result.map_err(Failure::fixture)
}

async fn run(fixture: &dyn Fixture) -> Result<(), &'static str> {
    let (store, other) = (fixture.fresh().await, fixture.fresh().await);
    if store.read().await.is_some() {
        return Err("`read` of a fresh store returns something");
    }
    for json in [r#"{"fixture":"check"}"#, r#"{ "fixture": "checked again" }"#] {
        let payload = Payload::from(json);
        store.write(Some(payload.clone())).await;
        let read = store.read().await;
        if read.as_ref() == Some(&payload) {
            continue;
        }
        let loaded = store.open().await.load().await.is_ok_and(|found| found.payload() == Some(&payload));
        return Err(match (loaded, read) {
            (true, None) => "`read` returns nothing after `write`, though a backend loads it: correct `read`",
            (true, Some(_)) => "`read` returns something other than `write` stored: correct `read`",
            (false, None) => {
                "`read` returns nothing after `write`, and a backend loads nothing: correct `write`"
            }
            (false, Some(_)) => {
                "`read` returns something other than `write` was given: correct `write` or `read`"
            }
        });
    }
    if other.read().await.is_some() {
        return Err("two fresh stores share their content: correct `fresh`");
    }
    store.write(None).await;
    if store.read().await.is_some() {
        return Err("`read` returns something after `write(None)`: correct `write`");
    }
    Ok(())
}
