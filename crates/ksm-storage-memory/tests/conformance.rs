//! The contract of the memory backend, also behind wrappers.
#![allow(missing_docs)]

use std::sync::Arc;

use async_trait::async_trait;
use ksm_storage_core::{
    Capabilities, Location, Payload, Result, StorageBackend, StoreOutcome, Stored, Version, Writes,
};
use ksm_storage_memory::{MemoryBackend, testing::MemoryFixture};
use ksm_storage_testkit::conformance_tests;

/// A memory backend with fewer capabilities. The suite then expects refusals.
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
    conformance_tests!(MemoryFixture::new());
}

mod through_dyn_pointers {
    use super::*;
    conformance_tests!(MemoryFixture::wrapped(|backend| {
        let boxed: Box<dyn StorageBackend> = Box::new(backend);
        Arc::new(Arc::new(boxed) as Arc<dyn StorageBackend>)
    }));
}

mod read_only {
    use super::*;
    conformance_tests!(MemoryFixture::wrapped(|backend| Arc::new(Restricted(backend, Writes::ReadOnly))));
}

mod unconditional {
    use super::*;
    conformance_tests!(MemoryFixture::wrapped(|backend| Arc::new(Restricted(
        backend,
        Writes::Unconditional
    ))));
}
