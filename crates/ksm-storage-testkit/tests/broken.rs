//! Every wrong backend and every wrong core is caught by a case of the clause that it breaks, and each clause has at
//! each level that it has cases on something that they catch.
#![allow(missing_docs)]

use std::{collections::HashSet, sync::Arc};

use ksm_storage_core::{Payload, StorageBackend};
use ksm_storage_memory::MemoryBackend;
use ksm_storage_testkit::{
    AsyncCore, FailureKind, Fixture, Level, Store, Subject, broken::Fault, cases, check_histories, run_all,
};

struct Memory;

#[async_trait::async_trait]
impl Fixture for Memory {
    fn name(&self) -> String {
        "memory".into()
    }

    async fn fresh(&self) -> Box<dyn Store> {
        Box::new(MemoryStore(MemoryBackend::new()))
    }
}

struct MemoryStore(MemoryBackend);

#[async_trait::async_trait]
impl Store for MemoryStore {
    async fn open(&self) -> Arc<dyn StorageBackend> {
        Arc::new(self.0.clone())
    }

    async fn write(&self, payload: Option<Payload>) {
        self.0.overwrite(payload);
    }

    async fn read(&self) -> Option<Payload> {
        self.0.read()
    }
}

fn subject() -> Subject {
    Subject { fixture: Arc::new(Memory), core: Arc::new(AsyncCore) }
}

#[test]
fn what_is_right_passes_every_case() {
    let report = run_all(&subject());
    assert_eq!(report.0.len(), cases().len());
    assert_eq!(report.failures().map(|(_, failure)| failure.to_string()).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn every_fault_is_caught_by_a_case_of_its_clause() {
    let uncaught: Vec<_> = Fault::all()
        .into_iter()
        .filter(|fault| !fault.caught_by(&subject()).iter().any(|(case, _)| case.clause() == fault.clause()))
        .map(|fault| fault.to_string())
        .collect();
    assert_eq!(uncaught, [""; 0]);
}

#[test]
fn every_fault_of_concurrent_calls_is_found_by_random_programs() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let mut missed = Vec::new();
    let faults = Fault::all();
    let concurrent: Vec<_> = faults.iter().filter_map(|fault| Some((fault, fault.found_by()?))).collect();
    assert!(concurrent.len() > 10);
    for (fault, mode) in concurrent {
        let broken = fault.plant(&subject());
        let search = async move { check_histories(&broken, mode, 1_000).await };
        match runtime.block_on(runtime.spawn(search)).unwrap() {
            Err(failure) if failure.kind() == FailureKind::Wrong => {}
            other => missed.push(format!("{fault}: {other:?}")),
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn every_clause_with_cases_of_a_level_has_a_fault_of_that_level() {
    let level = |fault: &Fault| if matches!(fault, Fault::Backend(_)) { Level::Backend } else { Level::Core };
    let proven: HashSet<_> = Fault::all().iter().map(|fault| (fault.clause(), level(fault))).collect();
    for case in cases() {
        assert!(
            proven.contains(&(case.clause(), case.level())),
            "nothing proves that {} can fail",
            case.name()
        );
        assert!(
            case.name().starts_with(&format!("c{:0>2}_", &case.clause().to_string()[1..])),
            "{}",
            case.name()
        );
    }
}
