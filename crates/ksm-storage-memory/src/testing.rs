//! The conformance fixture of this backend.

use std::sync::Arc;

use async_trait::async_trait;
use ksm_storage_core::{Payload, StorageBackend};
use ksm_storage_testkit::{Fixture, Store};

use crate::MemoryBackend;

/// A [`MemoryBackend`] for each case.
#[derive(Clone, Copy, Debug)]
pub struct MemoryFixture {
    wrap: fn(MemoryBackend) -> Arc<dyn StorageBackend>,
}

impl MemoryFixture {
    /// Creates a fixture whose backends are used as they are.
    pub fn new() -> Self {
        Self::wrapped(|backend| Arc::new(backend))
    }

    /// Creates a fixture that passes its backends through `wrap`, such as your own adapter.
    pub fn wrapped(wrap: fn(MemoryBackend) -> Arc<dyn StorageBackend>) -> Self {
        Self { wrap }
    }
}

impl Default for MemoryFixture {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Fixture for MemoryFixture {
    fn name(&self) -> String {
        "memory".into()
    }

    async fn fresh(&self) -> Box<dyn Store> {
        Box::new(MemoryStore { backend: MemoryBackend::new(), fixture: *self })
    }
}

struct MemoryStore {
    backend: MemoryBackend,
    fixture: MemoryFixture,
}

#[async_trait]
impl Store for MemoryStore {
    async fn open(&self) -> Arc<dyn StorageBackend> {
        (self.fixture.wrap)(self.backend.clone())
    }

    async fn write(&self, payload: Option<Payload>) {
        self.backend.overwrite(payload);
    }

    async fn read(&self) -> Option<Payload> {
        self.backend.read()
    }
}
