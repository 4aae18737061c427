use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use ksm_storage_core::{
    Capabilities, Error, ErrorKind, Location, Payload, Result, StorageBackend, StoreOutcome, Stored, Version,
    Writes,
};
use tokio::runtime::Handle;
use tracing::warn;

// A backend hands out its builder, which builds the backend: hence a cycle of modules.
use crate::{
    Durability, FileBuilder,
    error::quoted,
    leftover,
    paths::FilePaths,
    read::{self, MAX_PAYLOAD},
    store,
};

/// A configuration in one JSON file. Clones share it, and so does every other backend on the same file.
///
/// I/O is done on the threads that Tokio keeps for what blocks. A store whose future is dropped goes on there, unless it
/// waits for the lock: it takes effect once or never.
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
    /// True once the leftovers have been reported.
    is_reported: Arc<AtomicBool>,
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
        Self { path: Arc::new(path), durability, is_reported: Arc::default() }
    }

    /// Lists the files beside the configuration that writes left behind, at most 64.
    ///
    /// These are `NAME.temporary-NUMBER`, of a process that was killed during a write, and `NAME.displaced-NUMBER`, with
    /// the version of another program that a write displaced. They are never deleted automatically, and each opening
    /// reports them as events.
    ///
    /// # Errors
    /// Those of opening, and if the folder cannot be listed.
    pub async fn leftovers(&self) -> Result<Vec<PathBuf>> {
        let path = Arc::clone(&self.path);
        self.blocking(move |is_awaited| leftover::find(&FilePaths::resolve(&path)?, is_awaited)).await
    }

    /// Runs `work` on a thread for what blocks, and lets it know whether this future still waits for it.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Fn() -> bool) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let Ok(runtime) = Handle::try_current() else {
            return Err(runtime_error("there is no Tokio runtime here"));
        };
        let caller = Arc::new(());
        let awaited = Arc::downgrade(&caller);
        let result = runtime.spawn_blocking(move || work(&|| awaited.strong_count() > 0)).await;
        drop(caller);
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

/// The path as the URL of a storage has it: in ASCII, and without what begins another part of the URL.
fn percent_encoded(path: &Path) -> String {
    let mut encoded = String::new();
    for &byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-~+@=,:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let digit = |value: u8| char::from(b"0123456789ABCDEF"[usize::from(value & 15)]);
            encoded.extend(['%', digit(byte >> 4), digit(byte)]);
        }
    }
    encoded
}

fn runtime_error(message: &'static str) -> Error {
    Error::not_applied(ErrorKind::Runtime, message)
}

#[async_trait]
impl StorageBackend for FileBackend {
    fn location(&self) -> Location {
        let address = percent_encoded(&self.path);
        // After two slashes the first part of a relative path would be taken for a host.
        if address.starts_with('/') {
            Location::new("file", address)
        } else {
            Location::opaque("file", address)
        }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Writes::Cooperative).max_payload(MAX_PAYLOAD).fork_safe()
    }

    async fn load(&self) -> Result<Stored> {
        let path = Arc::clone(&self.path);
        let is_first = !self.is_reported.load(Ordering::Relaxed);
        let (stored, leftovers) = self
            .blocking(move |is_awaited| {
                let paths = FilePaths::resolve(&path)?;
                let stored = read::current(&paths)?.stored;
                // That the folder cannot be listed does not make the configuration worse.
                let leftovers = is_first.then(|| leftover::find(&paths, is_awaited).unwrap_or_default());
                Ok((stored, leftovers.unwrap_or_default()))
            })
            .await?;
        self.is_reported.store(true, Ordering::Relaxed);
        for path in leftovers {
            warn!(
                location = %self.location(), path = %quoted(&path),
                "leftover: a write was killed, or displaced a version of another program"
            );
        }
        Ok(stored)
    }

    async fn confirm(&self, version: &Version) -> Result<bool> {
        Ok(self.load().await?.version() == version)
    }

    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        let (path, durability) = (Arc::clone(&self.path), self.durability);
        let (expected, payload) = (expected.clone(), payload.clone());
        self.blocking(move |is_awaited| store::store(&path, durability, &expected, &payload, is_awaited))
            .await
    }
}
