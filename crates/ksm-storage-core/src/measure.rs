//! Metrics of a storage, for the recorder that the program installs through the crate `metrics`.
//!
//! Without the feature `metrics`, these functions do nothing.
#![cfg_attr(
    not(feature = "metrics"),
    allow(unused_variables, clippy::missing_const_for_fn, reason = "they are empty")
)]

use std::time::Duration;

#[cfg(feature = "metrics")]
use crate::Displaced;
use crate::{Error, Location, Result, StoreOutcome};

/// Records a load from the backend.
#[inline]
pub(crate) fn load<T>(location: impl FnOnce() -> Location, elapsed: Duration, result: &Result<T>) {
    #[cfg(feature = "metrics")]
    {
        let (location, result) = (location().to_string(), result.as_ref().map_or_else(kind, |_| "ok"));
        metrics::counter!("ksm_storage_loads_total", "location" => location.clone(), "result" => result)
            .increment(1);
        metrics::histogram!("ksm_storage_load_duration_seconds", "location" => location).record(elapsed);
    }
}

/// Records a store to the backend, and what it displaced.
#[inline]
pub(crate) fn store(location: impl FnOnce() -> Location, elapsed: Duration, result: &Result<StoreOutcome>) {
    #[cfg(feature = "metrics")]
    {
        let location = location().to_string();
        let (result, displaced) = match result {
            Ok(StoreOutcome::Committed { displaced, .. }) => ("committed", writer(displaced)),
            Ok(StoreOutcome::Conflict { .. }) => ("conflict", None),
            Err(error) => (kind(error), None),
        };
        metrics::counter!("ksm_storage_stores_total", "location" => location.clone(), "result" => result)
            .increment(1);
        metrics::histogram!("ksm_storage_store_duration_seconds", "location" => location.clone())
            .record(elapsed);
        if let Some(writer) = displaced {
            metrics::counter!("ksm_storage_displaced_total", "location" => location, "writer" => writer)
                .increment(1);
        }
    }
}

/// Records another attempt of a write after a conflict.
#[inline]
pub(crate) fn retry(location: impl FnOnce() -> Location) {
    #[cfg(feature = "metrics")]
    metrics::counter!("ksm_storage_retries_total", "location" => location().to_string()).increment(1);
}

/// Records a failed refresh, scheduled or not.
#[inline]
pub(crate) fn failed_refresh(location: impl FnOnce() -> Location, error: &Error) {
    #[cfg(feature = "metrics")]
    metrics::counter!("ksm_storage_failed_refreshes_total", "location" => location().to_string(), "result" => kind(error))
        .increment(1);
}

/// Records that the snapshot agrees with the store.
#[inline]
pub(crate) fn up_to_date(location: impl FnOnce() -> Location) {
    #[cfg(feature = "metrics")]
    {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        metrics::gauge!("ksm_storage_snapshot_timestamp_seconds", "location" => location().to_string())
            .set(now.as_secs_f64());
    }
}

#[cfg(feature = "metrics")]
fn kind(error: &Error) -> &'static str {
    error.kind().as_str()
}

#[cfg(feature = "metrics")]
fn writer(displaced: &Displaced) -> Option<&'static str> {
    match displaced {
        Displaced::Nothing => None,
        Displaced::Unverified => Some("unverified"),
        Displaced::Cooperative { .. } => Some("project"),
        Displaced::Foreign { .. } => Some("foreign"),
    }
}
