//! [`ConfigStorage`]: what is hard about a shared document, written once for all backends.
//!
//! Writes of one handle and its clones go through one queue ([`change`]), which one task at a time empties
//! ([`committer`]): it loads ([`reader`]), runs the changes, stores once, and answers.

mod backoff;
mod builder;
mod call;
mod change;
mod committer;
mod fresh;
mod hook;
mod queue;
mod reader;
mod replica;
mod shared;

use std::{fmt, time::Duration};

use secrecy::SecretString;
use tracing::debug;

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
    Origin, Result, SecretRef, Snapshot, StorageBackend, document::Value, sync::Arc,
};

/// A configuration in a backend: read from memory, written safely against every other writer.
///
/// Opening loads the document once. Reads are answered from the snapshot in memory, without I/O, lock or wait.
/// Every write is one conditional store, based on a load that began after the call did; if another writer was
/// faster, the change is made again on what that writer left. Clones are handles on the same storage: they share
/// the snapshot and one queue of writes, and writes that queue up are stored together.
///
/// Reads work anywhere. Writes and [`refresh`](Self::refresh) need a Tokio runtime with its timer enabled; for
/// programs without one there is [`blocking::ConfigStorage`](crate::blocking::ConfigStorage). A runtime whose timer is
/// not enabled makes them panic, in Tokio's words. The work is done by a
/// task on the runtime of the first caller, so a runtime that is neither driven nor dropped holds up the others
/// until their deadline.
///
/// In a child process after a `fork` only reads work: [`reopen`](Self::reopen) the storage there.
///
/// A call that is dropped before its store has begun leaves no trace; later, the write takes effect once or never.
///
/// ```
/// use ksm_storage_core::{ConfigKey, ConfigStorage, Error, ExposeSecret};
/// # use ksm_storage_memory::MemoryBackend;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let storage = ConfigStorage::open(MemoryBackend::from_config("{}")).await?;
/// storage.set(ConfigKey::ClientId, "abc").await?;
///
/// // Several keys in one write, computed from what is stored.
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
    /// Opens what `source`, a backend or what connects to one, holds: one load. See [`ConfigStorageBuilder::open`].
    ///
    /// # Errors
    /// Those of [`ConfigStorageBuilder::open`].
    pub async fn open(source: impl Connect) -> Result<Self> {
        Self::builder(source).open().await
    }

    /// Opens what `source` holds, and stores an empty document first if that is nothing.
    ///
    /// # Errors
    /// Those of [`ConfigStorageBuilder::open_or_create`].
    pub async fn open_or_create(source: impl Connect) -> Result<Self> {
        Self::builder(source).open_or_create().await
    }

    /// Settings other than the usual ones.
    pub fn builder(source: impl Connect) -> ConfigStorageBuilder {
        ConfigStorageBuilder::new(Arc::new(source))
    }

    /// Opens the source of this handle anew, with the same settings: connects to the backend again and loads. The new handle
    /// shares nothing with this one and its clones, which go on as they were.
    ///
    /// This is how a child process gets a storage after a `fork`. The child has none of the threads and connections of its
    /// parent: reads of a handle from before the fork work, and every other call is refused with [`ErrorKind::Runtime`] and
    /// [`Outcome::NotApplied`](crate::Outcome::NotApplied). What the source itself was made of, such as an HTTP client
    /// that the program made, is used again: make it in the child instead, and open from that.
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
    /// Those of [`ConfigStorageBuilder::open`], and after a fork [`ErrorKind::Unsupported`] if the source was a backend,
    /// unless that is [fork-safe](Capabilities::fork_safe): it may hold connections.
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
            .with_hint("open from a builder, which connects anew, or make the backend in the child"))
        };
        let reopened = ConfigStorageBuilder::again(before).open_unless(refuse).await?;
        Ok(Self { execution: self.execution, ..reopened })
    }

    /// Returns a handle on the same storage whose [`update`](Self::update) runs changes on threads where they may block.
    pub(crate) fn offloaded(self) -> Self {
        Self { execution: Execution::Offloaded, ..self }
    }

    pub(crate) fn refuse_after_fork(&self) -> Result<()> {
        self.shared.refuse_after_fork()
    }

    /// Where the configuration lives.
    pub fn location(&self) -> Location {
        self.shared.location()
    }

    /// The abilities of the backend.
    pub fn capabilities(&self) -> Capabilities {
        self.shared.backend.capabilities()
    }

    /// The value of `key`, as [`ConfigDocument::get`] has it. It neither copies nor allocates.
    #[inline]
    pub fn get(&self, key: ConfigKey) -> Option<SecretRef> {
        SecretRef::new(self.shared.current.load(), key)
    }

    /// Returns true if [`get`](Self::get) would return a value.
    pub fn contains(&self, key: ConfigKey) -> bool {
        self.shared.current.load().document.contains(key)
    }

    /// Returns true if the document has no key at all.
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

    /// Deletes one key, and tells whether it was there.
    ///
    /// # Errors
    /// Those of [`update`](Self::update).
    pub async fn delete(&self, key: ConfigKey) -> Result<bool> {
        self.write(Operation::Delete, move |_, document| Ok(document.remove(key))).await
    }

    /// Stores an empty document. The secret, file or whatever else holds it stays.
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

    /// Changes the document as a whole: reads it, runs `change` on it, and stores it if it is still the current
    /// one, else starts again.
    ///
    /// `change` may run more than once, each time on what is stored by then, so it should have no effect but on the
    /// document. It should not block, because it runs on a thread of the runtime; those of a
    /// [`blocking::ConfigStorage`](crate::blocking::ConfigStorage) run where they may. If it returns `Err`, or panics, nothing of it is stored, and the caller gets that error or panic,
    /// once it is certain what it was based on. It must not write through the handle that it changes: that is
    /// refused. A document left unchanged is not stored.
    ///
    /// # Errors
    /// The error that `change` returns, or one of these:
    /// - [`ErrorKind::ReadOnly`], [`ErrorKind::Unsupported`]: refused, before any I/O.
    /// - [`ErrorKind::Runtime`]: no Tokio runtime here, or it ended meanwhile.
    /// - [`ErrorKind::Conflict`], [`ErrorKind::Timeout`]: out of attempts, out of time.
    /// - [`ErrorKind::TooLarge`]: the changed document is larger than the store accepts, or than can be read again.
    /// - [`ErrorKind::NotFound`], [`ErrorKind::InvalidConfig`]: what was stored is gone, or no document any more.
    /// - [`ErrorKind::Displaced`]: the change is stored, but a foreign write was displaced.
    /// - Whatever the backend reports.
    ///
    /// [`Error::outcome`] tells what became of the change.
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
    /// This is for a caller that decided on the whole document, from a snapshot it has read: it is never retried,
    /// and never merged. Keys unknown to this crate are part of the document; start from a clone of the base's. The base
    /// must come from a handle on the same store: versions of different stores mean nothing to each other.
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
    /// [`ErrorKind::Conflict`] if something else is stored by now, [`ErrorKind::ReadOnly`] if the base is a
    /// [replica](Origin::Replica)'s, and those of [`update`](Self::update).
    pub async fn save(&self, base: &Snapshot, document: ConfigDocument) -> Result<()> {
        if base.origin() == Origin::Replica {
            let error = Error::not_applied(ErrorKind::ReadOnly, "the snapshot was read from a replica")
                .with_hint("refresh, which reads the store itself, and decide anew");
            return Err(self.decorate(Operation::Save, error));
        }
        let base = base.version().clone();
        self.write(Operation::Save, move |current, stored| {
            if *current.version != base || !current.untouched {
                return Err(Error::not_applied(
                    ErrorKind::Conflict,
                    "the snapshot that this is based on is not current",
                )
                .with_hint("read again and decide anew"));
            }
            stored.clone_from(&document);
            Ok(())
        })
        .await
    }

    /// Stores `document` in place of whatever document is stored now.
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

    /// Reads the store again, and returns what is current then.
    ///
    /// # Errors
    /// Those of [`ConfigStorageBuilder::open`] and [`ErrorKind::Runtime`]. If writes wait for the store at that time, it is
    /// carried out together with them, and can end in their [`ErrorKind::Conflict`] or whatever else the store says of them.
    /// The snapshot stays as it is then: reads outlive an outage of the store.
    pub async fn refresh(&self) -> Result<Snapshot> {
        let (_, snapshot) =
            self.call(Operation::Refresh, Execution::Inline, |_, _| Ok::<(), Error>(())).await?;
        debug!(location = %self.location(), version = %snapshot.version(), "refresh");
        Ok(snapshot)
    }

    /// Stores an empty document unless something is stored by then.
    async fn create(&self, deadline: Duration) -> Result<()> {
        let (_, snapshot) = self
            .submit(Operation::OpenOrCreate, Execution::Inline, deadline, |_, _| Ok::<(), Error>(()))
            .await?;
        debug!(location = %self.location(), version = %snapshot.version(), "created");
        Ok(())
    }

    /// Completes an error that a call ends in.
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
