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

use std::{
    fmt,
    future::Future,
    io, panic,
    pin::pin,
    sync::{Arc, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread, ThreadId},
    time::{Duration, Instant},
};

use tokio::{
    runtime::{self, Handle},
    sync::oneshot,
    task,
};
use tracing::instrument::WithSubscriber;

use crate::{
    BindState, Capabilities, ConfigDocument, ConfigKey, Connect, Error, ErrorKind, Location, Operation,
    Result, SecretRef, SecretString, Snapshot,
    storage::{is_changing_any, within_change},
};

/// A configuration in a backend, for programs without an async runtime of their own.
///
/// Method by method it is [`ConfigStorage`](crate::ConfigStorage), on a runtime thread that it starts and that ends
/// with the last clone. It may be called and dropped anywhere, inside an async runtime too: there a call blocks the
/// worker thread that it is made on. What holds of that type's changes holds here: a change must not use the handle
/// that it changes.
#[derive(Clone)]
pub struct ConfigStorage {
    storage: crate::ConfigStorage,
    runtime: Arc<RuntimeThread>,
}

impl ConfigStorage {
    /// See [`ConfigStorage::open`](crate::ConfigStorage::open).
    ///
    /// # Errors
    /// Those of [`ConfigStorageBuilder::open`](crate::ConfigStorageBuilder::open), and [`ErrorKind::Runtime`] if no thread
    /// can be started.
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

    /// Opens what `opening` opens: the way to use a builder.
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
        let runtime = RuntimeThread::start().map_err(|error| error.decorate(Operation::Open, None))?;
        let storage = runtime
            .run(Duration::MAX, opening)
            .unwrap_or_else(|error| Err(error.decorate(Operation::Open, None)))?;
        Ok(Self { storage, runtime: Arc::new(runtime) })
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

    /// See [`ConfigStorage::update`](crate::ConfigStorage::update). The change runs on the storage's own thread.
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

    /// Runs a call that has no synchronous twin here on the storage's own thread, and waits for its end, however long it
    /// takes: a way to build on this type.
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
    /// [`ErrorKind::InvalidArgument`] from within a change, [`ErrorKind::Runtime`] if the thread has ended.
    pub fn run_async<C, F>(&self, call: C) -> Result<F::Output>
    where
        C: FnOnce(crate::ConfigStorage) -> F,
        F: Future<Output: Send> + Send + 'static,
    {
        if is_changing_any() || self.runtime.is_current() {
            return Err(within_change().with_location(self.location()));
        }
        self.runtime.run(Duration::MAX, call(self.storage.clone()))
    }

    fn run<T, E, C, F>(&self, operation: Operation, call: C) -> Result<T, E>
    where
        C: FnOnce(crate::ConfigStorage) -> F,
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let refuse = |error| E::from(self.storage.decorate(operation, error));
        // A change that blocks its thread holds up all that this thread drives, deadlines included.
        if is_changing_any() || self.runtime.is_current() {
            return Err(refuse(within_change()));
        }
        let limit = self.storage.deadline().saturating_add(GRACE);
        self.runtime.run(limit, call(self.storage.clone())).unwrap_or_else(|error| Err(refuse(error)))
    }
}

impl fmt::Debug for ConfigStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("blocking::ConfigStorage").field(&self.storage).finish()
    }
}

/// The extra time beyond its deadline that a call is waited for. The storage's own thread keeps the deadline, which a
/// change may block.
const GRACE: Duration = Duration::from_secs(1);

/// A thread that drives a Tokio runtime until this is dropped. It is not waited for: the drop may happen on the
/// thread itself, or on one that must not block.
struct RuntimeThread {
    handle: Handle,
    thread: ThreadId,
    _stop: oneshot::Sender<()>,
}

impl RuntimeThread {
    fn start() -> Result<Self> {
        let failed = |error| {
            Error::not_applied(ErrorKind::Runtime, "the storage's runtime thread cannot be started")
                .with_source(error)
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let (started, start) = mpsc::channel();
        // Built where it is dropped: a runtime must not be dropped on a thread of another one.
        let drive = move || match runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                let _ = started.send(Ok(runtime.handle().clone()));
                // An error means that the sender is gone, which is what is waited for.
                let _ = runtime.block_on(stopped);
            }
            Err(error) => drop(started.send(Err(error))),
        };
        let thread = thread::Builder::new().name("ksm-storage".into()).spawn(drive).map_err(failed)?;
        let handle = start.recv().map_err(io::Error::other).and_then(|started| started).map_err(failed)?;
        Ok(Self { handle, thread: thread.thread().id(), _stop: stop })
    }

    fn is_current(&self) -> bool {
        thread::current().id() == self.thread
    }

    /// The future's output. A panic in it goes on here.
    fn run<F>(&self, limit: Duration, future: F) -> Result<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        match wait(limit, self.handle.spawn(future.with_current_subscriber())) {
            Some(Ok(output)) => Ok(output),
            Some(Err(error)) => match error.try_into_panic() {
                Ok(panic) => panic::resume_unwind(panic),
                Err(_) => Err(Error::new(ErrorKind::Runtime, "the storage's runtime thread has ended")),
            },
            None => {
                Err(Error::new(ErrorKind::Timeout, "the storage's thread did not answer: a change blocks it"))
            }
        }
    }
}

/// Parks this thread until the future is ready, or for `limit`. Tokio's own `block_on` refuses to run inside a runtime.
fn wait<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    // In a task, Tokio makes what it polls wait once the task has done its share. The task cannot give way here, so
    // that would have no end.
    let mut future = pin!(task::unconstrained(future));
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let start = Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        let left = limit.checked_sub(start.elapsed())?;
        thread::park_timeout(left);
    }
}
