use std::{fmt, num::NonZeroU32, time::Duration};

use async_trait::async_trait;

use crate::{Result, StorageBackend, sync::Arc};

/// Limits of a storage, and permissions for opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenOptions {
    /// Time limit of a call: a write, a refresh, or an opening, which includes connecting and loading.
    pub deadline: Duration,
    /// Creates an empty document, and the store that holds it, if nothing is stored.
    pub create: bool,
    /// Rejects writes.
    pub read_only: bool,
    /// Maximum number of attempts of a write that keeps losing to other writers.
    pub write_attempts: NonZeroU32,
}

impl Default for OpenOptions {
    /// 15 s, 16 attempts, `create` and `read_only` off.
    fn default() -> Self {
        const ATTEMPTS: NonZeroU32 = NonZeroU32::new(16).unwrap();
        Self { deadline: Duration::from_secs(15), create: false, read_only: false, write_attempts: ATTEMPTS }
    }
}

/// A source of a backend; accepted by [`ConfigStorage::builder`](crate::ConfigStorage::builder).
///
/// Every backend is a source of itself. Settings that need I/O to become a backend, for example to find credentials,
/// implement this trait too, so that one deadline covers connecting and loading.
#[async_trait]
pub trait Connect: fmt::Debug + Send + Sync + 'static {
    /// Returns the backend without creating or writing anything. The backend creates the document's store only in
    /// [`store`](StorageBackend::store), and only if [`options.create`](OpenOptions::create) is set. The caller
    /// enforces the deadline.
    ///
    /// Each call connects anew: [`reopen`](crate::ConfigStorage::reopen) calls this in a child process, which must not
    /// use its parent's connections.
    ///
    /// # Errors
    /// An error whose kind tells the caller what to do.
    async fn connect(self: Arc<Self>, options: &OpenOptions) -> Result<Arc<dyn StorageBackend>>;

    /// Returns sources of copies, which are opened in this order if the store does not reply, is unavailable, or cannot
    /// be reached. Empty unless a source overrides it; a source that wraps another one should forward it.
    ///
    /// A copy may be outdated. It is read once, to open: every write and refresh goes to the store.
    fn replicas(&self) -> Vec<Arc<dyn Connect>> {
        Vec::new()
    }
}

/// A source chosen at run time.
#[async_trait]
impl Connect for Arc<dyn Connect> {
    async fn connect(self: Arc<Self>, options: &OpenOptions) -> Result<Arc<dyn StorageBackend>> {
        Self::clone(&self).connect(options).await
    }

    fn replicas(&self) -> Vec<Arc<dyn Connect>> {
        (**self).replicas()
    }
}

#[async_trait]
impl<B: StorageBackend> Connect for B {
    async fn connect(self: Arc<Self>, _: &OpenOptions) -> Result<Arc<dyn StorageBackend>> {
        Ok(self)
    }
}
