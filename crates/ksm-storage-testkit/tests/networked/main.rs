//! A networked store, a correct backend for it, and the same backend with mistakes.

#![expect(clippy::panic, clippy::print_stdout, clippy::unwrap_used, reason = "helpers of tests, and a table")]

mod backend;
mod faulty;
mod fixture;
mod mistake;
mod server;
mod table;
mod wire;

use backend::Networked;
use faulty::Faulty;
use ksm_storage_core::{ErrorKind, Payload, StorageBackend, StoreOutcome};
use mistake::Mistake;
use server::{Fault, Table};

#[tokio::test]
async fn value_survives_the_round_trip() {
    let table = Table::create("round-trip");
    let backend = Networked::new(server::address().to_string(), &table.name);
    let nothing = backend.load().await.unwrap();
    assert_eq!(nothing.payload(), None);
    let first = backend.store(nothing.version(), &Payload::from("{}")).await.unwrap();
    let StoreOutcome::Committed { version, .. } = first else { panic!("{first:?}") };
    assert_eq!(*backend.load().await.unwrap().version(), version);
    let late = backend.store(nothing.version(), &Payload::from("{}")).await.unwrap();
    assert_eq!(late, StoreOutcome::conflict(None));
    table.set_fault(Some(Fault::Refused));
    assert_eq!(backend.load().await.unwrap_err().kind(), ErrorKind::AccessDenied);
    table.set_fault(None);
    table.empty();
    assert_eq!(backend.load().await.unwrap().payload(), None);
    table.remove();
    assert_eq!(backend.load().await.unwrap().payload(), None);
    table.recreate();
    assert_ne!(backend.load().await.unwrap().version(), nothing.version());
}

/// Control: a faulty backend works until something triggers its mistake.
#[tokio::test]
async fn faulty_backends_work_at_first_sight() {
    let tables = Mistake::ALL.iter().map(|mistake| Table::create(&format!("first-sight-{mistake:?}")));
    let tables: Vec<_> = tables.inspect(|table| table.write(b"{}")).collect();
    // Wait until the replica has caught up.
    tokio::time::sleep(backend::LIMIT).await;
    for (mistake, table) in Mistake::ALL.iter().zip(tables) {
        let backend = Faulty::new(Networked::new(server::address().to_string(), &table.name), *mistake);
        let found = backend.load().await.unwrap();
        assert_eq!(found.payload(), Some(&Payload::from("{}")), "{mistake:?}");
        let outcome = backend.store(found.version(), &Payload::from(r#"{"a":"b"}"#)).await.unwrap();
        assert!(matches!(outcome, StoreOutcome::Committed { .. }), "{mistake:?}");
        let mut left = 100;
        while table.read().as_deref() != Some(br#"{"a":"b"}"#) {
            left -= 1;
            assert!(left > 0, "{mistake:?}");
            tokio::time::sleep(backend::LIMIT / 100).await;
        }
    }
}

mod correct {
    use super::*;
    ksm_storage_testkit::conformance_tests!(fixture::Server(None));
}
