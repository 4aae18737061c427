//! The metrics of a storage.
#![allow(missing_docs, clippy::unwrap_used, reason = "these are tests")]
#![allow(clippy::cast_precision_loss, clippy::float_cmp, reason = "the numbers are small and whole")]

use std::{
    collections::BTreeMap,
    fmt::Write,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use ksm_storage_core::{ConfigKey::Url, ConfigStorage, Displaced, Error, ErrorKind, Version};
use ksm_storage_memory::MemoryBackend;
use ksm_storage_testkit::{LoadFault, Probe, StoreFault};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

/// Sums of counters, latest values of gauges and counts of durations, by name and labels except the location.
#[derive(Clone, Default)]
struct Values(Arc<Mutex<BTreeMap<String, f64>>>);

struct Value(Values, String);

impl Value {
    fn change(&self, change: impl FnOnce(&mut f64)) {
        change(self.0.0.lock().unwrap().entry(self.1.clone()).or_default());
    }
}

impl CounterFn for Value {
    fn increment(&self, value: u64) {
        self.change(|sum| *sum += value as f64);
    }

    fn absolute(&self, _: u64) {}
}

impl GaugeFn for Value {
    fn increment(&self, _: f64) {}

    fn decrement(&self, _: f64) {}

    fn set(&self, value: f64) {
        self.change(|latest| *latest = value);
    }
}

impl HistogramFn for Value {
    fn record(&self, _: f64) {
        self.change(|number| *number += 1.0);
    }
}

impl Values {
    fn value(&self, key: &Key) -> Arc<Value> {
        let mut name = key.name().to_owned();
        let mut has_location = false;
        for label in key.labels() {
            if label.key() == "location" {
                has_location = label.value().starts_with("memory:");
            } else {
                write!(name, " {}={}", label.key(), label.value()).unwrap();
            }
        }
        assert!(has_location, "{key:?}");
        Arc::new(Value(self.clone(), name))
    }
}

impl Recorder for Values {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.value(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.value(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.value(key))
    }
}

/// Runs a program on a storage in virtual time, and returns its metrics.
fn measured<F: Future<Output = ()>>(
    program: impl FnOnce(Probe, MemoryBackend) -> F,
) -> BTreeMap<String, f64> {
    let values = Values::default();
    let backend = MemoryBackend::from_config("{}");
    let probe = Probe::new(Arc::new(backend.clone()));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    metrics::with_local_recorder(&values, || runtime.block_on(program(probe, backend)));
    values.0.lock().unwrap().clone()
}

fn unavailable() -> Error {
    Error::new(ErrorKind::Unavailable, "on demand")
}

#[test]
fn loads_and_stores_are_counted() {
    let values = measured(|probe, _| async move {
        let storage = ConfigStorage::open(probe.clone()).await.unwrap();
        storage.set(Url, "u").await.unwrap();
        probe.fail_loads([LoadFault::Fail(unavailable())]);
        storage.set(Url, "v").await.unwrap_err();
        probe.fail_stores([StoreFault::Fail(unavailable())]);
        storage.set(Url, "v").await.unwrap_err();
    });
    for (name, value) in [
        ("ksm_storage_loads_total result=ok", 3.0),
        ("ksm_storage_loads_total result=unavailable", 1.0),
        ("ksm_storage_load_duration_seconds", 4.0),
        ("ksm_storage_stores_total result=committed", 1.0),
        ("ksm_storage_stores_total result=unavailable", 1.0),
        ("ksm_storage_store_duration_seconds", 2.0),
    ] {
        assert_eq!(values.get(name), Some(&value), "{name}: {values:?}");
    }
    assert!(!values.contains_key("ksm_storage_retries_total"), "{values:?}");
}

#[test]
fn conflicts_and_displaced_versions_are_counted() {
    let values = measured(|probe, _| async move {
        let storage = ConfigStorage::open(probe.clone()).await.unwrap();
        let foreign = Displaced::Foreign { version: Version::new("other"), inspect: None };
        probe.fail_stores([StoreFault::Conflict, StoreFault::Displaced(foreign)]);
        storage.set(Url, "u").await.unwrap_err();
    });
    for (name, value) in [
        ("ksm_storage_stores_total result=conflict", 1.0),
        ("ksm_storage_retries_total", 1.0),
        ("ksm_storage_displaced_total writer=foreign", 1.0),
    ] {
        assert_eq!(values.get(name), Some(&value), "{name}: {values:?}");
    }
}

#[test]
fn age_of_the_snapshot_is_told() {
    const AGE: &str = "ksm_storage_snapshot_timestamp_seconds";
    let before = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    let values = measured(|probe, _| async move {
        let storage = ConfigStorage::open(probe.clone()).await.unwrap();
        storage.keep_fresh(Duration::from_mins(1)).unwrap();
        probe.fail_loads([LoadFault::Fail(unavailable()), LoadFault::Fail(unavailable())]);
        tokio::time::sleep(Duration::from_mins(2)).await;
    });
    assert!(values[AGE] >= before, "{values:?}");
    assert_eq!(values["ksm_storage_failed_refreshes_total result=unavailable"], 2.0);
    // A replica's copy does not count as a load.
    assert_eq!(values["ksm_storage_loads_total result=ok"], 1.0);
}
