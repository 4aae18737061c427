use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use ksm_storage_core::{
    Capabilities, Error, ErrorKind, Location, Payload, Result, StorageBackend, StoreOutcome, Stored, Version,
    Writes,
};
use tokio::runtime::Handle;

// A backend hands out its builder, which builds the backend: hence a cycle of modules.
use crate::{
    Durability, FileBuilder,
    place::Place,
    read::{self, MAX_PAYLOAD},
    store,
};

/// A configuration in one JSON file. Clones share it, and so does every other backend on the same file.
///
/// I/O is done on the threads that Tokio keeps for what blocks. A store whose future is dropped goes on there: it
/// takes effect once or never.
///
/// ```
/// # use ksm_storage_core::{ConfigStorage, Error, ErrorKind};
/// # use ksm_storage_file::FileBackend;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("ksm.json");
/// let backend = FileBackend::new(path);
/// assert_eq!(ConfigStorage::open(backend.clone()).await.unwrap_err().kind(), ErrorKind::NotFound);
/// let storage = ConfigStorage::open_or_create(backend).await?;
/// assert!(storage.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FileBackend {
    path: Arc<PathBuf>,
    durability: Durability,
}

impl FileBackend {
    /// The file at `path`. Nothing is read or created before it is opened.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::builder(path).build()
    }

    /// The same, with settings.
    pub fn builder(path: impl Into<PathBuf>) -> FileBuilder {
        FileBuilder::new(path.into())
    }

    pub(crate) fn from_parts(path: PathBuf, durability: Durability) -> Self {
        Self { path: Arc::new(path), durability }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let result = match Handle::try_current() {
            Ok(runtime) => runtime.spawn_blocking(work).await,
            Err(_) => return Err(runtime_error("there is no Tokio runtime here")),
        };
        result
            .unwrap_or_else(|error| {
                if error.is_cancelled() {
                    // It had not begun.
                    return Err(runtime_error("the Tokio runtime has ended"));
                }
                // Whatever the panic said, it may quote what it was about.
                Err(Error::new(ErrorKind::Unexpected, "the file backend panicked"))
            })
            .map_err(|error| error.with_location(self.location()))
    }
}

fn runtime_error(message: &'static str) -> Error {
    Error::not_applied(ErrorKind::Runtime, message)
}

#[async_trait]
impl StorageBackend for FileBackend {
    fn location(&self) -> Location {
        Location::new("file", self.path.to_string_lossy())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Writes::Cooperative).max_payload(MAX_PAYLOAD)
    }

    async fn load(&self) -> Result<Stored> {
        let path = Arc::clone(&self.path);
        self.blocking(move || Ok(read::current(&Place::of(&path)?)?.stored)).await
    }

    async fn confirm(&self, version: &Version) -> Result<bool> {
        Ok(self.load().await?.version() == version)
    }

    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        let (path, durability) = (Arc::clone(&self.path), self.durability);
        let (expected, payload) = (expected.clone(), payload.clone());
        // The work goes on when this is dropped, but then nobody hears how it ended.
        let caller = Arc::new(());
        let awaited = Arc::downgrade(&caller);
        let is_awaited = move || awaited.strong_count() > 0;
        let stored =
            self.blocking(move || store::store(&path, durability, &expected, &payload, is_awaited)).await;
        drop(caller);
        stored
    }
}
