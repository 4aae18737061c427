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
use tokio::{runtime::Handle, task::JoinError};

// A backend returns its builder, which builds the backend: hence a cycle of modules.
use crate::{
    Durability, FileBuilder,
    error::quoted,
    events::Event,
    leftover,
    paths::FilePaths,
    read::{self, MAX_PAYLOAD},
    store,
};

/// A configuration in one JSON file, shared by clones and by all other backends on the same file.
///
/// I/O runs on Tokio's blocking threads. If the future of a store is dropped, the store continues there, unless it is
/// waiting for the lock: it takes effect once or never.
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
    /// True once leftovers have been reported.
    is_reported: Arc<AtomicBool>,
}

impl FileBackend {
    /// A backend for the file at `path`. Nothing is read or created before a storage is opened on it.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::builder(path).build()
    }

    /// Returns a builder, to change the default settings.
    pub fn builder(path: impl Into<PathBuf>) -> FileBuilder {
        FileBuilder::new(path.into())
    }

    pub(crate) fn from_parts(path: PathBuf, durability: Durability) -> Self {
        Self { path: Arc::new(path), durability, is_reported: Arc::default() }
    }

    /// Lists up to 64 files that writes left behind beside the configuration.
    ///
    /// These are `NAME.temporary-NUMBER`, from a process that was killed during a write, and `NAME.displaced-NUMBER`,
    /// with another program's version that a write displaced. They are never deleted automatically, and the
    /// first opening of this backend reports them as events.
    ///
    /// # Errors
    /// Those of opening, and an error if the folder cannot be listed.
    pub async fn leftovers(&self) -> Result<Vec<PathBuf>> {
        let path = Arc::clone(&self.path);
        self.blocking(move |is_awaited| leftover::find(&FilePaths::resolve(&path)?, is_awaited)).await
    }

    /// Runs `work` on a blocking thread, and tells it if this future is still waiting.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Fn() -> bool) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let caller = Arc::new(());
        let awaited = Arc::downgrade(&caller);
        let result = match Handle::try_current() {
            Ok(runtime) => runtime
                .spawn_blocking(move || work(&|| awaited.strong_count() > 0))
                .await
                .unwrap_or_else(|error| Err(unfinished(&error))),
            Err(_) => Err(Error::no_runtime()),
        };
        drop(caller);
        result.map_err(|error| error.with_location(self.location()))
    }
}

/// The error for work that did not end. A panic's message is omitted, because it may quote a secret.
fn unfinished(error: &JoinError) -> Error {
    if error.is_cancelled() {
        return Error::not_applied(ErrorKind::Runtime, "the Tokio runtime ended before the work began");
    }
    Error::new(ErrorKind::Unexpected, "the file backend panicked")
}

/// The path in the form of a storage URL: ASCII, without characters that begin another part of the URL.
fn percent_encoded(path: &Path) -> String {
    let encode = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(*byte).to_string(),
        byte if b"/._-~+@=,:".contains(byte) => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    path.as_os_str().as_encoded_bytes().iter().map(encode).collect()
}

#[async_trait]
impl StorageBackend for FileBackend {
    fn location(&self) -> Location {
        let address = percent_encoded(&self.path);
        // After two slashes, the first component of a relative path would be read as a host.
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
        let stored = self.blocking(move |_| Ok(read::current(&FilePaths::resolve(&path)?)?.stored)).await?;
        if !self.is_reported.load(Ordering::Relaxed) {
            // An error in listing the folder does not affect the configuration.
            let leftovers = self.leftovers().await.unwrap_or_default();
            self.is_reported.store(true, Ordering::Relaxed);
            for path in leftovers {
                Event::Leftover { location: &self.location(), path: &quoted(&path) }.log();
            }
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
