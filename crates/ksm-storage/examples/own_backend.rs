//! A backend for a row of a database: `cargo run --example own_backend`. `cargo test --example own_backend` runs its
//! conformance tests.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "it is an example")]

use std::sync::{Arc, Mutex};

use ksm_storage::{
    Capabilities, ConfigKey, ConfigStorage, Error, Location, Payload, Result, StorageBackend, StoreOutcome,
    Stored, Version, Writes,
};

/// A numbered row of a table, as a database would keep it.
#[derive(Clone, Debug, Default)]
struct Row(Arc<Mutex<(u64, Option<Payload>)>>);

fn stored((number, payload): &(u64, Option<Payload>)) -> Stored {
    let version = Version::new(number.to_string());
    match payload {
        Some(payload) => Stored::present(version, payload.clone()),
        None => Stored::absent(version, "the row is empty"),
    }
}

#[async_trait::async_trait]
impl StorageBackend for Row {
    fn location(&self) -> Location {
        Location::new("row", "ksm")
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Writes::Exact)
    }
    async fn load(&self) -> Result<Stored> {
        Ok(stored(&self.0.lock().expect("no holder of it panics")))
    }
    async fn confirm(&self, version: &Version) -> Result<bool> {
        Ok(stored(&self.0.lock().expect("no holder of it panics")).version() == version)
    }
    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        let mut row = self.0.lock().expect("no holder of it panics");
        if stored(&row).version() != expected {
            return Ok(StoreOutcome::conflict(stored(&row)));
        }
        *row = (row.0 + 1, Some(payload.clone()));
        Ok(StoreOutcome::committed(stored(&row).version().clone()))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let storage = ConfigStorage::open_or_create(Row::default()).await?;
    storage.set(ConfigKey::Hostname, "keepersecurity.com").await?;
    println!("{storage:?}");
    Ok(())
}

#[cfg(test)]
mod conformance {
    use super::*;

    #[async_trait::async_trait]
    impl ksm_storage_testkit::Fixture for Row {
        fn name(&self) -> String {
            "row".into()
        }
        async fn fresh(&self) -> Box<dyn ksm_storage_testkit::Store> {
            Box::new(Self::default())
        }
    }

    #[async_trait::async_trait]
    impl ksm_storage_testkit::Store for Row {
        async fn open(&self) -> Arc<dyn StorageBackend> {
            Arc::new(self.clone())
        }
        async fn write(&self, payload: Option<Payload>) {
            let mut row = self.0.lock().expect("no holder of it panics");
            *row = (row.0 + 1, payload);
        }
        async fn read(&self) -> Option<Payload> {
            self.0.lock().expect("no holder of it panics").1.clone()
        }
    }

    ksm_storage_testkit::conformance_tests!(Row::default());

    #[test]
    fn example_succeeds() {
        main().unwrap();
    }
}
