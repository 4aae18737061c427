use std::sync::Arc;

use async_trait::async_trait;
use ksm_storage_core::{
    Capabilities, Location, Payload, Result, StorageBackend, StoreOutcome, Stored, Version, Writes,
};

use crate::{TemplateBuilder, error};

/// A configuration in one ... (the store's own word). Clones share it.
#[derive(Clone, Debug)]
pub struct TemplateBackend {
    address: Arc<str>,
}

impl TemplateBackend {
    /// The document at `address`. Nothing is read or created before it is opened.
    pub fn new(address: impl Into<String>) -> Self {
        Self::builder(address).build()
    }

    /// The same, with settings.
    pub fn builder(address: impl Into<String>) -> TemplateBuilder {
        TemplateBuilder::new(address.into())
    }

    pub(crate) fn from_parts(address: String) -> Self {
        Self { address: address.into() }
    }
}

#[async_trait]
impl StorageBackend for TemplateBackend {
    fn location(&self) -> Location {
        Location::new("template", Arc::clone(&self.address))
    }

    fn capabilities(&self) -> Capabilities {
        // The strictest promise, so that the suite asks for all of it. Claim less only where the store offers less, and
        // say how large a payload may be and whether a load can be stale.
        Capabilities::new(Writes::Exact)
    }

    async fn load(&self) -> Result<Stored> {
        Err(error::not_implemented(self.location()))
    }

    async fn confirm(&self, _version: &Version) -> Result<bool> {
        // Reads are fresh: what a load returned is current.
        Ok(true)
    }

    async fn store(&self, _expected: &Version, _payload: &Payload) -> Result<StoreOutcome> {
        Err(error::not_implemented(self.location()))
    }
}
