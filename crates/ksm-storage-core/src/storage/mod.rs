//! [`ConfigStorage`]: safe access to a shared document, written once for all backends.
//!
//! Writes of a handle and its clones share a queue ([`change`]). One task at a time empties it ([`committer`]): it
//! loads ([`reader`]), runs the changes, stores once, and answers.

pub(crate) mod backoff;
mod builder;
mod call;
mod change;
mod committer;
mod fresh;
mod hook;
mod queue;
pub(crate) mod reader;
pub(crate) mod replica;
mod shared;

use std::{fmt, time::Duration};

use secrecy::SecretString;

pub use builder::ConfigStorageBuilder;
pub(crate) use call::{withdrawn_outcome, within_change};
pub(crate) use change::is_changing_any;
pub use fresh::Changes;

use self::{
    call::finish,
    change::{Base, Execution},
    shared::Shared,
};
use crate::{
    BindState, Capabilities, ConfigDocument, ConfigKey, Connect, Error, ErrorKind, Location, Operation,
    Origin, Result, SecretRef, Snapshot, StorageBackend, document::Value, events::Event, measure, sync::Arc,
};

/// A configuration in a backend, read from memory and protected against concurrent writers.
///
/// Opening loads the document once. Reads are served from the snapshot in memory, without I/O, locking or waiting.
/// Every write is one conditional store, based on a load that began after the call did. If another writer wins, the
/// change runs again on the document that the other writer stored. Clones are handles on the same storage: they share
/// the snapshot and one queue of writes, and queued writes are stored together.
///
/// Reads work anywhere. Writes and [`refresh`](Self::refresh) fail without a Tokio runtime, and panic in Tokio if it has
/// no timer; programs without a runtime use [`blocking::ConfigStorage`](crate::blocking::ConfigStorage). A
/// task on the runtime of the first caller does the work, so if that runtime is neither driven nor dropped, the other
/// callers wait until their deadlines.
///
/// In a child process after a `fork`, only reads work: [`reopen`](Self::reopen) the storage there.
///
/// A call that is dropped before its store has begun leaves no trace. After that point, the write takes effect once or
/// never.
///
/// ```
/// use ksm_storage_core::{ConfigKey, ConfigStorage, Error, ExposeSecret};
/// # use ksm_storage_memory::MemoryBackend;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let storage = ConfigStorage::open(MemoryBackend::from_config("{}")).await?;
/// storage.set(ConfigKey::ClientId, "abc").await?;
///
/// // Several keys in one write, computed from the stored document.
/// let had_key = storage
///     .update(|document| {
///         let had_key = document.remove(ConfigKey::ClientKey);
///         document.set(ConfigKey::AppKey, "def");
///         Ok::<_, Error>(had_key)
///     })
///     .await?;
/// assert!(!had_key);
/// assert_eq!(storage.get(ConfigKey::AppKey).unwrap().expose_secret(), "def");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ConfigStorage {
    shared: Arc<Shared>,
    execution: Execution,
}

impl ConfigStorage {
    /// Opens the document of `source`, a backend or anything that connects to one, with one load. See
    /// [`ConfigStorageBuilder::open`].
    ///
    /// # Errors
    /// Those of [`ConfigStorageBuilder::open`].
    pub async fn open(source: impl Connect) -> Result<Self> {
        Self::builder(source).open().await
    }

    /// Opens the document of `source`, after storing an empty one if nothing is stored.
    ///
    /// # Errors
    /// Those of [`ConfigStorageBuilder::open_or_create`].
    pub async fn open_or_create(source: impl Connect) -> Result<Self> {
        Self::builder(source).open_or_create().await
    }

    /// Returns a builder, to change the default settings.
    pub fn builder(source: impl Connect) -> ConfigStorageBuilder {
        ConfigStorageBuilder::new(Arc::new(source))
    }

    /// Opens the source of this handle again with the same settings: connects to the backend and loads. The new handle
    /// shares nothing with this one and its clones, which continue to work.
    ///
    /// Use this in a child process after a `fork`. The child has none of its parent's threads and connections: on a
    /// handle from before the fork, reads work and every other call fails with [`ErrorKind::Runtime`] and
    /// [`Outcome::NotApplied`](crate::Outcome::NotApplied). Objects that the program passed to the source, such as an
    /// HTTP client, are reused; create these in the child instead, and open from them.
    ///
    /// ```
    /// # use ksm_storage_core::{ConfigStorage, Error};
    /// # use ksm_storage_memory::MemoryBackend;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let storage = ConfigStorage::open(MemoryBackend::from_config("{}")).await?;
    /// let storage = storage.reopen().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`ConfigStorageBuilder::open`], and after a fork [`ErrorKind::Unsupported`] if the source was a backend
    /// that is not [fork-safe](Capabilities::fork_safe): it may hold connections.
    pub async fn reopen(&self) -> Result<Self> {
        let before = &self.shared;
        let refuse = |backend: &Arc<dyn StorageBackend>| {
            let same = std::ptr::addr_eq(Arc::as_ptr(backend), Arc::as_ptr(&before.backend));
            if !same || !before.is_forked() || backend.capabilities().fork_safe {
                return Ok(());
            }
            Err(Error::not_applied(
                ErrorKind::Unsupported,
                "the backend was made before a fork, and may hold connections of the parent process",
            )
            .with_hint("open from a builder, which connects again, or create the backend in the child"))
        };
        let reopened = ConfigStorageBuilder::again(before).open_unless(refuse).await?;
        Ok(Self { execution: self.execution, ..reopened })
    }

    /// Returns a handle on the same storage whose [`update`](Self::update) runs changes on threads that may block.
    pub(crate) fn offloaded(self) -> Self {
        Self { execution: Execution::Offloaded, ..self }
    }

    pub(crate) fn refuse_after_fork(&self) -> Result<()> {
        self.shared.refuse_after_fork()
    }

    /// The location of the configuration.
    pub fn location(&self) -> Location {
        self.shared.location()
    }

    /// The properties of the backend.
    pub fn capabilities(&self) -> Capabilities {
        self.shared.backend.capabilities()
    }

    /// The value of `key`, as returned by [`ConfigDocument::get`]. Neither copies nor allocates.
    #[inline]
    pub fn get(&self, key: ConfigKey) -> Option<SecretRef> {
        SecretRef::new(self.shared.current.load(), key)
    }

    /// Returns true if [`get`](Self::get) would return a value.
    pub fn contains(&self, key: ConfigKey) -> bool {
        self.shared.current.load().document.contains(key)
    }

    /// Returns true if the document has no keys.
    pub fn is_empty(&self) -> bool {
        self.shared.current.load().document.is_empty()
    }

    /// The state of the client that the document describes.
    pub fn bind_state(&self) -> BindState {
        self.shared.current.load().document.bind_state()
    }

    /// The current snapshot, to read several keys that belong together.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::from_content(self.shared.current.load_full())
    }

    /// Sets one key.
    ///
    /// # Errors
    /// Those of [`update`](Self::update).
    pub async fn set(&self, key: ConfigKey, value: impl Into<SecretString>) -> Result<()> {
        let value = Value::text(value.into());
        self.write(Operation::Set, move |_, document| {
            document.set_value(key, value.clone());
            Ok(())
        })
        .await
    }

    /// Deletes one key. Returns true if it was present.
    ///
    /// # Errors
    /// Those of [`update`](Self::update).
    pub async fn delete(&self, key: ConfigKey) -> Result<bool> {
        self.write(Operation::Delete, move |_, document| Ok(document.remove(key))).await
    }

    /// Stores an empty document. The secret or file that holds it remains.
    ///
    /// # Errors
    /// Those of [`update`](Self::update).
    pub async fn delete_all(&self) -> Result<()> {
        self.write(Operation::DeleteAll, |_, document| {
            document.clear();
            Ok(())
        })
        .await
    }

    /// Changes the whole document: loads it, runs `change` on it, and stores the result if the loaded version is still
    /// current; otherwise starts again.
    ///
    /// `change` may run more than once, each time on the document stored at that time, so it should have no side
    /// effects. It runs on a thread of the runtime and should not block; a change of a
    /// [`blocking::ConfigStorage`](crate::blocking::ConfigStorage) may. If it returns `Err` or panics, nothing is
    /// stored, and the caller gets that error or panic, but only once the changes that ran before it in the same batch
    /// are stored. It must not write through the handle that it changes, nor through any
    /// [`blocking::ConfigStorage`](crate::blocking::ConfigStorage), even of another store: such calls are refused. A
    /// document left unchanged is not stored.
    ///
    /// # Errors
    /// The error that `change` returns, or one of these:
    /// - [`ErrorKind::ReadOnly`], [`ErrorKind::Unsupported`]: refused before any I/O.
    /// - [`ErrorKind::Runtime`]: there is no Tokio runtime on this thread, or it ended during the call.
    /// - [`ErrorKind::Conflict`], [`ErrorKind::Timeout`]: out of attempts, or out of time.
    /// - [`ErrorKind::TooLarge`]: the changed document is larger than the store accepts, or too large to be read back.
    /// - [`ErrorKind::NotFound`], [`ErrorKind::InvalidConfig`]: the stored document is gone, or is no longer a valid
    ///   document.
    /// - [`ErrorKind::Displaced`]: the change is stored, but displaced a foreign write.
    /// - Any error of the backend.
    ///
    /// [`Error::outcome`] states whether the change was applied.
    pub async fn update<T, E, F>(&self, mut change: F) -> Result<T, E>
    where
        F: FnMut(&mut ConfigDocument) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let change = move |_: Base<'_>, document: &mut ConfigDocument| change(document);
        let (ran, _) = self.call(Operation::Update, self.execution, change).await?;
        finish(ran, |error| self.decorate(Operation::Update, error))
    }

    /// Stores `document` if `base` is still current.
    ///
    /// For callers that derive the whole document from a snapshot: the write is never retried and never merged.
    /// Keys unknown to this crate are part of the document, so start from a clone of the base's document. The base must
    /// come from a handle on the same store: versions of different stores cannot be compared.
    ///
    /// ```
    /// # use ksm_storage_core::{ConfigKey, ConfigStorage, Error, ErrorKind};
    /// # use ksm_storage_memory::MemoryBackend;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let storage = ConfigStorage::open(MemoryBackend::from_config("{}")).await?;
    /// let base = storage.snapshot();
    /// let mut document = base.document().clone();
    /// document.set(ConfigKey::Hostname, "keepersecurity.com");
    /// storage.save(&base, document.clone()).await?;
    /// assert_eq!(storage.save(&base, document).await.unwrap_err().kind(), ErrorKind::Conflict);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] if `base` is no longer current, [`ErrorKind::ReadOnly`] if it was read from a
    /// [replica](Origin::Replica), and those of [`update`](Self::update).
    pub async fn save(&self, base: &Snapshot, document: ConfigDocument) -> Result<()> {
        if base.origin() == Origin::Replica {
            let error = Error::not_applied(ErrorKind::ReadOnly, "the snapshot was read from a replica")
                .with_hint("refresh, which reads the store itself, then decide again");
            return Err(self.decorate(Operation::Save, error));
        }
        let base = base.version().clone();
        self.write(Operation::Save, move |current, stored| {
            if *current.version != base || !current.untouched {
                return Err(Error::not_applied(
                    ErrorKind::Conflict,
                    "the base snapshot is no longer current",
                )
                .with_hint("read again, then decide again"));
            }
            stored.clone_from(&document);
            Ok(())
        })
        .await
    }

    /// Replaces the stored document with `document`.
    ///
    /// # Errors
    /// Those of [`update`](Self::update).
    pub async fn replace(&self, document: ConfigDocument) -> Result<()> {
        self.write(Operation::Replace, move |_, stored| {
            stored.clone_from(&document);
            Ok(())
        })
        .await
    }

    /// Reads the store again, and returns the current snapshot.
    ///
    /// # Errors
    /// Those of [`ConfigStorageBuilder::open`] and [`ErrorKind::Runtime`]. A refresh that joins queued writes shares
    /// their attempt, and can fail with their [`ErrorKind::Conflict`] or another error of their store. A failed refresh
    /// leaves the snapshot unchanged, so reads keep working while the store is down.
    pub async fn refresh(&self) -> Result<Snapshot> {
        let refreshed = self.call(Operation::Refresh, Execution::Inline, |_, _| Ok::<(), Error>(())).await;
        let (_, snapshot) =
            refreshed.inspect_err(|error| measure::failed_refresh(|| self.location(), error))?;
        Event::Refresh { version: snapshot.version() }.log(|| self.location());
        Ok(snapshot)
    }

    /// Stores an empty document, unless something has been stored since.
    async fn create(&self, deadline: Duration) -> Result<()> {
        let (_, snapshot) = self
            .submit(Operation::OpenOrCreate, Execution::Inline, deadline, |_, _| Ok::<(), Error>(()))
            .await?;
        Event::Created { version: snapshot.version() }.log(|| self.location());
        Ok(())
    }

    /// Adds operation and location to the error of a call.
    pub(crate) fn decorate(&self, operation: Operation, error: Error) -> Error {
        error.decorate(operation, Some(self.location()))
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.shared.options.deadline
    }
}

impl fmt::Debug for ConfigStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigStorage")
            .field("location", &self.location())
            .field("read_only", &self.shared.options.read_only)
            .field("snapshot", &self.snapshot())
            .finish_non_exhaustive()
    }
}
