//! The backends of this workspace.

#[path = "../../crates/ksm-storage-file/tests/fixture/mod.rs"]
mod file;

use std::sync::Arc;

use async_trait::async_trait;
use ksm_storage_aws::Concurrency;
use ksm_storage_core::{Payload, StorageBackend};
use ksm_storage_emulator::fixture::{Aws, Transport};
use ksm_storage_file::Durability;
use ksm_storage_memory::MemoryBackend;
use ksm_storage_testkit::{Fixture, Store};

use crate::{outside::Outside, python::Program};

/// Makes it, or says why it cannot be had here.
type Make = fn() -> Result<Arc<dyn Fixture>, String>;

pub(crate) const ALL: [(&str, Make); 8] = [
    ("memory", || Ok(Arc::new(Memory))),
    // Histories write thousands of times; the backend's own tests run the other cases with syncs, too.
    ("file", || Ok(Arc::new(file::File(Durability::Relaxed)))),
    ("aws-emulator", || Ok(Arc::new(Aws(Concurrency::Optimistic, Transport::InProcess)))),
    ("aws-emulator-strict", || Ok(Arc::new(Aws(Concurrency::Strict, Transport::InProcess)))),
    ("aws-emulator-http", || Ok(Arc::new(Aws(Concurrency::Optimistic, Transport::Http)))),
    ("aws-emulator-http-strict", || Ok(Arc::new(Aws(Concurrency::Strict, Transport::Http)))),
    (MOTO, || Ok(Arc::new(Outside::start(Program::Moto, Concurrency::Optimistic)?))),
    (MINISTACK, || Ok(Arc::new(Outside::start(Program::Ministack, Concurrency::Strict)?))),
];

const MOTO: &str = "aws-moto";
const MINISTACK: &str = "aws-ministack";

/// Cases that an emulator cannot pass because it is wrong, and in what: backend, case, reason.
const EXCLUDED: &[(&str, &str, &str)] = &[
    (MINISTACK, "c01_a_store_with_nothing_in_it_loads_as_nothing", EMPTY),
    (MINISTACK, "c01_a_store_with_nothing_in_it_is_not_found", EMPTY),
    (MINISTACK, "c12_open_or_create_creates_once", EMPTY),
    (MINISTACK, "c04_a_store_that_is_not_acknowledged_changes_nothing", OVERWRITES),
    (MINISTACK, "c06_one_store_per_version_is_committed", OVERWRITES),
    (MINISTACK, "c06_equal_payloads_do_not_both_win", OVERWRITES),
    (MINISTACK, "c06_racing_stores_have_one_winner", OVERWRITES),
    (MINISTACK, "c06_increments_through_eight_handles_all_count", OVERWRITES),
    (MINISTACK, "c06_histories_are_linearizable", OVERWRITES),
    (MINISTACK, "c06_histories_with_faults_are_linearizable", OVERWRITES),
    (MINISTACK, "c07_histories_with_a_foreign_writer_are_linearizable", OVERWRITES),
];

/// Seen with 1.5.33.
const EMPTY: &str = "ministack answers a read of a secret without a value with a reply that has no version";
/// Seen with 1.5.33: of eight writers under one id all are acknowledged, and a current version that is written again loses
/// its label, so that nothing is current.
const OVERWRITES: &str =
    "ministack overwrites the content under a version id, where AWS answers ResourceExistsException";

/// Why this case is not run on this backend.
pub(crate) fn excluded(backend: &str, case: &str) -> Option<&'static str> {
    EXCLUDED.iter().find(|(on, name, _)| *on == backend && *name == case).map(|(.., why)| *why)
}

struct Memory;

#[async_trait]
impl Fixture for Memory {
    fn name(&self) -> String {
        "memory".into()
    }

    async fn fresh(&self) -> Box<dyn Store> {
        Box::new(MemoryStore(MemoryBackend::new()))
    }
}

struct MemoryStore(MemoryBackend);

#[async_trait]
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
