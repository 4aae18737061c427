//! The synchronous twin of [`ConfigStorage`](crate::ConfigStorage).
//!
//! ```
//! use ksm_storage_core::{ConfigKey, Error, blocking::ConfigStorage};
//! use ksm_storage_memory::MemoryBackend;
//!
//! let storage = ConfigStorage::open(MemoryBackend::from_config("{}"))?;
//! storage.set(ConfigKey::Hostname, "keepersecurity.com")?;
//! assert!(storage.contains(ConfigKey::Hostname));
//! # Ok::<(), Error>(())
//! ```

pub(crate) mod driver;

use std::{fmt, future::Future, time::Duration};

pub use driver::Driver;
use tokio::runtime::Handle;

#[cfg(doc)]
use crate::ErrorKind;
use crate::{
    BindState, Capabilities, ConfigDocument, ConfigKey, Connect, Error, Location, Operation, Result,
    SecretRef, SecretString, Snapshot, Version,
    storage::{is_changing_any, within_change},
};

/// A configuration in a backend, for programs without an async runtime of their own.
///
/// Its methods are those of [`ConfigStorage`](crate::ConfigStorage). They run on two threads that all blocking handles
/// of the process share, or on the caller's runtime: see [`Driver`]. The handle may be used and dropped anywhere,
/// including inside an async runtime, where a call blocks its worker thread. A change may
/// block: it runs on a thread of its own, and only calls on the same handle and its clones wait for it, until their
/// deadlines. Within a change, reads work, but every other call on a blocking handle, even of another store, is refused
/// with [`ErrorKind::InvalidArgument`]: two changes could otherwise wait for each other.
///
/// In a child process after a `fork`, reads work and every other call fails with [`ErrorKind::Runtime`]: call
/// [`reopen`](Self::reopen) there.
#[derive(Clone)]
pub struct ConfigStorage {
    storage: crate::ConfigStorage,
    driver: Driver,
    handle: Handle,
}

impl ConfigStorage {
    /// See [`ConfigStorage::open`](crate::ConfigStorage::open).
    ///
    /// # Errors
    /// Those of [`ConfigStorageBuilder::open`](crate::ConfigStorageBuilder::open), and [`ErrorKind::Runtime`] if no
    /// thread can be started.
    pub fn open(source: impl Connect) -> Result<Self> {
        Self::open_with(crate::ConfigStorage::builder(source).open())
    }

    /// See [`ConfigStorage::open_or_create`](crate::ConfigStorage::open_or_create).
    ///
    /// # Errors
    /// Those of [`ConfigStorageBuilder::open_or_create`](crate::ConfigStorageBuilder::open_or_create), and
    /// [`ErrorKind::Runtime`] if no thread can be started.
    pub fn open_or_create(source: impl Connect) -> Result<Self> {
        Self::open_with(crate::ConfigStorage::builder(source).open_or_create())
    }

    /// Waits for `opening`, the future of a builder, and returns a blocking handle.
    ///
    /// ```
    /// use ksm_storage_core::{ConfigStorage, Error, blocking};
    /// # use ksm_storage_memory::MemoryBackend;
    /// # let backend = MemoryBackend::from_config("{}");
    /// let opening = ConfigStorage::builder(backend).read_only().open();
    /// let storage = blocking::ConfigStorage::open_with(opening)?;
    /// assert!(storage.is_empty());
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of `opening`, and [`ErrorKind::Runtime`] if no thread can be started.
    pub fn open_with(
        opening: impl Future<Output = Result<crate::ConfigStorage>> + Send + 'static,
    ) -> Result<Self> {
        Driver::new().open(opening)
    }

    /// Opens the same source again with the same settings: see [`ConfigStorage::reopen`](crate::ConfigStorage::reopen).
    ///
    /// After a fork, the new handle runs on the shared runtime of the child, even if this one was given its own
    /// runtime, which the child does not have. Use [`Driver::reopen`] to supply another one.
    ///
    /// # Errors
    /// Those of [`ConfigStorage::reopen`](crate::ConfigStorage::reopen), and [`ErrorKind::Runtime`] if no thread can be
    /// started.
    pub fn reopen(&self) -> Result<Self> {
        self.driver.after_fork().reopen(self)
    }

    /// See [`ConfigStorage::location`](crate::ConfigStorage::location).
    pub fn location(&self) -> Location {
        self.storage.location()
    }

    /// See [`ConfigStorage::capabilities`](crate::ConfigStorage::capabilities).
    pub fn capabilities(&self) -> Capabilities {
        self.storage.capabilities()
    }

    /// See [`ConfigStorage::get`](crate::ConfigStorage::get).
    pub fn get(&self, key: ConfigKey) -> Option<SecretRef> {
        self.storage.get(key)
    }

    /// See [`ConfigStorage::contains`](crate::ConfigStorage::contains).
    pub fn contains(&self, key: ConfigKey) -> bool {
        self.storage.contains(key)
    }

    /// See [`ConfigStorage::is_empty`](crate::ConfigStorage::is_empty).
    pub fn is_empty(&self) -> bool {
        self.storage.is_empty()
    }

    /// See [`ConfigStorage::bind_state`](crate::ConfigStorage::bind_state).
    pub fn bind_state(&self) -> BindState {
        self.storage.bind_state()
    }

    /// See [`ConfigStorage::snapshot`](crate::ConfigStorage::snapshot).
    pub fn snapshot(&self) -> Snapshot {
        self.storage.snapshot()
    }

    /// See [`ConfigStorage::set`](crate::ConfigStorage::set).
    ///
    /// # Errors
    /// Those of [`update`](Self::update).
    pub fn set(&self, key: ConfigKey, value: impl Into<SecretString>) -> Result<()> {
        let value = value.into();
        self.run(Operation::Set, move |storage| async move { storage.set(key, value).await })
    }

    /// See [`ConfigStorage::delete`](crate::ConfigStorage::delete).
    ///
    /// # Errors
    /// Those of [`update`](Self::update).
    pub fn delete(&self, key: ConfigKey) -> Result<bool> {
        self.run(Operation::Delete, move |storage| async move { storage.delete(key).await })
    }

    /// See [`ConfigStorage::delete_all`](crate::ConfigStorage::delete_all).
    ///
    /// # Errors
    /// Those of [`update`](Self::update).
    pub fn delete_all(&self) -> Result<()> {
        self.run(Operation::DeleteAll, |storage| async move { storage.delete_all().await })
    }

    /// See [`ConfigStorage::update`](crate::ConfigStorage::update). The change runs on a thread where it may block, but
    /// must not call another blocking handle, except to read: make such calls before or after.
    ///
    /// # Errors
    /// Those of [`ConfigStorage::update`](crate::ConfigStorage::update).
    pub fn update<T, E, F>(&self, change: F) -> Result<T, E>
    where
        F: FnMut(&mut ConfigDocument) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.run(Operation::Update, move |storage| async move { storage.update(change).await })
    }

    /// See [`ConfigStorage::save`](crate::ConfigStorage::save).
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] if something else is stored by now, and those of [`update`](Self::update).
    pub fn save(&self, base: &Snapshot, document: ConfigDocument) -> Result<()> {
        let base = base.clone();
        self.run(Operation::Save, move |storage| async move { storage.save(&base, document).await })
    }

    /// See [`ConfigStorage::replace`](crate::ConfigStorage::replace).
    ///
    /// # Errors
    /// Those of [`update`](Self::update).
    pub fn replace(&self, document: ConfigDocument) -> Result<()> {
        self.run(Operation::Replace, move |storage| async move { storage.replace(document).await })
    }

    /// See [`ConfigStorage::refresh`](crate::ConfigStorage::refresh).
    ///
    /// # Errors
    /// Those of [`ConfigStorage::refresh`](crate::ConfigStorage::refresh).
    pub fn refresh(&self) -> Result<Snapshot> {
        self.run(Operation::Refresh, |storage| async move { storage.refresh().await })
    }

    /// See [`ConfigStorage::keep_fresh`](crate::ConfigStorage::keep_fresh). The task runs on the runtime of this
    /// handle.
    ///
    /// # Errors
    /// Those of [`ConfigStorage::keep_fresh`](crate::ConfigStorage::keep_fresh).
    pub fn keep_fresh(&self, every: Duration) -> Result<()> {
        let _entered = self.handle.enter();
        self.storage.keep_fresh(every)
    }

    /// See [`ConfigStorage::changes`](crate::ConfigStorage::changes).
    pub fn changes(&self) -> Changes {
        let (driver, handle) = (self.driver.clone(), self.handle.clone());
        Changes { versions: self.storage.changes(), driver, handle }
    }

    /// Runs an async call that has no blocking counterpart, and waits on this thread for as long as it takes. Intended
    /// for types built on this one.
    ///
    /// ```
    /// use ksm_storage_core::{Error, blocking::ConfigStorage};
    /// # use ksm_storage_memory::MemoryBackend;
    /// let storage = ConfigStorage::open(MemoryBackend::from_config("{}"))?;
    /// let names = storage.run_async(|storage| async move {
    ///     let snapshot = storage.refresh().await?;
    ///     Ok::<_, Error>(snapshot.document().names().count())
    /// })??;
    /// assert_eq!(names, 0);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] from within a change, [`ErrorKind::Runtime`] after a fork, and
    /// [`ErrorKind::Interrupted`].
    pub fn run_async<C, F>(&self, call: C) -> Result<F::Output>
    where
        C: FnOnce(crate::ConfigStorage) -> F,
        F: Future<Output: Send> + Send + 'static,
    {
        let named = |error: Error| error.with_location(self.location());
        self.refuse().map_err(named)?;
        self.driver.wait(&self.handle, Duration::MAX, call(self.storage.clone())).map_err(named)
    }

    fn run<T, E, C, F>(&self, operation: Operation, call: C) -> Result<T, E>
    where
        C: FnOnce(crate::ConfigStorage) -> F,
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let decorate = |error| E::from(self.storage.decorate(operation, error));
        self.refuse().map_err(decorate)?;
        let limit = self.storage.deadline().saturating_add(GRACE);
        let waited = self.driver.wait_for_call(&self.handle, limit, call(self.storage.clone()));
        waited.map_err(decorate)?
    }

    /// Rejects a wait that would never end.
    fn refuse(&self) -> Result<()> {
        self.storage.refuse_after_fork()?;
        // A change that waits for another change's thread may be waiting for its own.
        if is_changing_any() { Err(within_change()) } else { Ok(()) }
    }
}

/// The versions that become current on a handle and its clones, in order: see [`Changes`](crate::Changes).
///
/// `next` waits for a version without a time limit. The iterator ends when the last handle is dropped, and at once in a
/// child process after a fork. The only error is [`ErrorKind::Interrupted`]; the iterator may continue after it.
///
/// ```
/// use ksm_storage_core::{ConfigKey, Error, blocking::ConfigStorage};
/// # use ksm_storage_memory::MemoryBackend;
/// let storage = ConfigStorage::open(MemoryBackend::from_config("{}"))?;
/// let mut changes = storage.changes();
/// storage.set(ConfigKey::Hostname, "keepersecurity.com")?;
/// assert_eq!(changes.next().transpose()?.as_ref(), Some(storage.snapshot().version()));
/// drop(storage);
/// assert_eq!(changes.count(), 0);
/// # Ok::<(), Error>(())
/// ```
pub struct Changes {
    versions: crate::Changes,
    driver: Driver,
    handle: Handle,
}

impl Iterator for Changes {
    type Item = Result<Version>;

    fn next(&mut self) -> Option<Self::Item> {
        self.driver.wait(&self.handle, Duration::MAX, self.versions.next()).transpose()
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}

impl fmt::Debug for ConfigStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("blocking::ConfigStorage").field(&self.storage).finish()
    }
}

/// The extra time that a call is waited for after its deadline. The runtime enforces the deadline, unless something
/// blocks its threads.
pub(crate) const GRACE: Duration = Duration::from_secs(1);
