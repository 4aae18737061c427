//! The memory backend keeps the contract, however it is wrapped.
#![allow(missing_docs)]

use std::sync::Arc;

use async_trait::async_trait;
use ksm_storage_core::{
    Capabilities, Location, Payload, Result, StorageBackend, StoreOutcome, Stored, Version, Writes,
};
use ksm_storage_memory::MemoryBackend;
use ksm_storage_testkit::{Fixture, Store, conformance_tests};

/// How a store's backends are handed out.
type Wrap = fn(MemoryBackend) -> Arc<dyn StorageBackend>;

struct Memory(Wrap);

struct MemoryStore(MemoryBackend, Wrap);

#[async_trait]
impl Fixture for Memory {
    fn name(&self) -> String {
        "memory".into()
    }

    async fn fresh(&self) -> Box<dyn Store> {
        Box::new(MemoryStore(MemoryBackend::new(), self.0))
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn open(&self) -> Arc<dyn StorageBackend> {
        self.1(self.0.clone())
    }

    async fn write(&self, payload: Option<Payload>) {
        self.0.overwrite(payload);
    }

    async fn read(&self) -> Option<Payload> {
        self.0.read()
    }
}

/// The memory backend as one that can do less. The suite then asserts refusals.
#[derive(Debug)]
struct Restricted(MemoryBackend, Writes);

#[async_trait]
impl StorageBackend for Restricted {
    fn location(&self) -> Location {
        self.0.location()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(self.1)
    }

    async fn load(&self) -> Result<Stored> {
        self.0.load().await
    }

    async fn confirm(&self, version: &Version) -> Result<bool> {
        self.0.confirm(version).await
    }

    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        self.0.store(expected, payload).await
    }
}

mod plain {
    use super::*;
    conformance_tests!(Memory(|backend| Arc::new(backend)));
}

mod through_dyn_pointers {
    use super::*;
    conformance_tests!(Memory(|backend| {
        let boxed: Box<dyn StorageBackend> = Box::new(backend);
        Arc::new(Arc::new(boxed) as Arc<dyn StorageBackend>)
    }));
}

mod read_only {
    use super::*;
    conformance_tests!(Memory(|backend| Arc::new(Restricted(backend, Writes::ReadOnly))));
}

mod unconditional {
    use super::*;
    conformance_tests!(Memory(|backend| Arc::new(Restricted(backend, Writes::Unconditional))));
}
