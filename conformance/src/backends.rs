//! The backends of this workspace.

#[path = "../../crates/ksm-storage-aws/tests/fixture/mod.rs"]
mod aws;

use std::sync::Arc;

use async_trait::async_trait;
use aws::{Aws, Door};
use ksm_storage_aws::Concurrency;
use ksm_storage_core::{Payload, StorageBackend};
use ksm_storage_memory::MemoryBackend;
use ksm_storage_testkit::{Fixture, Store};

type Make = fn() -> Arc<dyn Fixture>;

pub(crate) const ALL: [(&str, Make); 5] = [
    ("memory", || Arc::new(Memory)),
    ("aws-emulator", || Arc::new(Aws(Concurrency::Optimistic, Door::InProcess))),
    ("aws-emulator-strict", || Arc::new(Aws(Concurrency::Strict, Door::InProcess))),
    ("aws-emulator-http", || Arc::new(Aws(Concurrency::Optimistic, Door::Http))),
    ("aws-emulator-http-strict", || Arc::new(Aws(Concurrency::Strict, Door::Http))),
];

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
