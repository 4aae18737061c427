use std::{fmt, num::NonZeroU32, time::Duration};

use async_trait::async_trait;

use crate::{Result, StorageBackend, sync::Arc};

/// Limits of a storage, and what may be done to open it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenOptions {
    /// Time limit of a call: opening, which is connecting and loading together, a write or a refresh.
    pub deadline: Duration,
    /// Creates an empty document, and its store, where nothing is.
    pub create: bool,
    /// Refuses writes.
    pub read_only: bool,
    /// Maximum attempts of a write that loses against others.
    pub write_attempts: NonZeroU32,
}

impl Default for OpenOptions {
    /// 15 s, 16 attempts, and neither created nor read-only.
    fn default() -> Self {
        const ATTEMPTS: NonZeroU32 = NonZeroU32::new(16).unwrap();
        Self { deadline: Duration::from_secs(15), create: false, read_only: false, write_attempts: ATTEMPTS }
    }
}

/// A way to a backend: what [`ConfigStorage::builder`](crate::ConfigStorage::builder) accepts.
///
/// Every backend is one to itself. Settings that take I/O to become a backend, such as finding credentials, implement
/// this too, so that one deadline covers connecting and loading.
#[async_trait]
pub trait Connect: fmt::Debug + Send + Sync + 'static {
    /// Returns the backend. Nothing is created or written yet: the backend does that in
    /// [`store`](StorageBackend::store), and creates what holds the document only if
    /// [`options.create`](OpenOptions::create) is set. The caller keeps the deadline.
    ///
    /// Each call connects anew: [`reopen`](crate::ConfigStorage::reopen) makes one in a child process, which must use no
    /// connection of its parent.
    ///
    /// # Errors
    /// Of the kind that tells the caller what to do.
    async fn connect(self: Arc<Self>, options: &OpenOptions) -> Result<Arc<dyn StorageBackend>>;

    /// Returns sources of copies, which are opened in this order if the store does not answer, answers that it is
    /// unavailable, or cannot be reached. There are none unless a source says so; a source that wraps another forwards
    /// this.
    ///
    /// A copy may be out of date. It is read once, to open: every write and refresh goes to the store itself.
    fn replicas(&self) -> Vec<Arc<dyn Connect>> {
        Vec::new()
    }
}

/// A source that is chosen at run time.
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
