//! Waits for futures on the caller's thread, and holds the runtime that their tasks run on.

use std::{
    fmt,
    future::Future,
    io, mem,
    pin::{Pin, pin},
    process,
    sync::{Arc, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use tokio::{
    runtime::{Builder, Handle, RuntimeFlavor},
    task,
};

use super::ConfigStorage;
use crate::{Error, ErrorKind, Operation, Outcome, Result, storage::withdrawn_outcome};

/// The longest time between two checks of the interrupt.
pub(crate) const INTERRUPT_INTERVAL: Duration = Duration::from_millis(100);

/// Threads of the shared runtime: one drives timers and I/O while the other works.
pub(crate) const WORKERS: usize = 2;

/// Settings for blocking calls: the runtime they use, and a condition that interrupts them.
///
/// By default, calls run on two threads that all blocking handles of the process share. The threads start with the
/// first handle and never end.
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicBool, Ordering}};
///
/// use ksm_storage_core::{ConfigStorage, Error, blocking::Driver};
/// # use ksm_storage_memory::MemoryBackend;
/// # let backend = MemoryBackend::from_config("{}");
/// let stop = Arc::new(AtomicBool::new(false));
/// let stopped = Arc::clone(&stop);
/// let driver = Driver::new().interrupt(move || stopped.load(Ordering::Relaxed));
/// let storage = driver.open(ConfigStorage::open(backend))?;
/// assert!(storage.is_empty());
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Driver {
    runtime: Option<Supplied>,
    interrupt: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
}

#[derive(Clone)]
struct Supplied {
    handle: Handle,
    process: u32,
}

impl Driver {
    /// A driver with the shared runtime and no interrupt.
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses the caller's runtime instead of the shared one.
    ///
    /// Its time driver and, for most backends, its I/O driver must be enabled. It must run while calls are made: a
    /// current-thread runtime needs a thread that drives it. After the runtime is shut down, calls panic in Tokio.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(Supplied { handle: runtime, process: process::id() });
        self
    }

    /// Ends a wait with [`ErrorKind::Interrupted`] once `interrupted` returns true. `interrupted` is called on the
    /// waiting thread, at least every 100 ms. [`Error::outcome`] states whether a change was applied.
    pub fn interrupt(mut self, interrupted: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.interrupt = Some(Arc::new(interrupted));
        self
    }

    /// Waits for `opening`, and returns a blocking handle on the storage that it opens.
    ///
    /// # Errors
    /// Those of `opening`; [`ErrorKind::Runtime`] if no thread can be started or the given runtime belongs to the
    /// parent of a forked process; and [`ErrorKind::Interrupted`]. Its outcome is [`Outcome::Unknown`] if `opening` may
    /// still create the document.
    pub fn open(
        &self,
        opening: impl Future<Output = Result<crate::ConfigStorage>> + Send + 'static,
    ) -> Result<ConfigStorage> {
        let handle = self.handle().map_err(|error| error.decorate(Operation::Open, None))?;
        let driver = self.clone();
        let (outcome, waited) = withdrawn_outcome(|| self.wait(&handle, Duration::MAX, opening));
        let storage = waited.unwrap_or_else(|error| {
            // Only an opening that was creating the document has withdrawn a change.
            let (operation, outcome) = match outcome {
                Some(outcome) => (Operation::OpenOrCreate, outcome),
                None => (Operation::Open, Outcome::NotApplied),
            };
            Err(error.with_outcome(outcome).decorate(operation, None))
        })?;
        Ok(ConfigStorage { storage: storage.offloaded(), driver, handle })
    }

    /// See [`ConfigStorage::reopen`].
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn reopen(&self, storage: &ConfigStorage) -> Result<ConfigStorage> {
        let storage = storage.storage.clone();
        self.open(async move { storage.reopen().await })
    }

    /// Returns a driver that works in this process: after a fork, without the parent's runtime.
    pub(super) fn after_fork(&self) -> Self {
        let runtime = self.runtime.clone().filter(|runtime| runtime.process == process::id());
        Self { runtime, interrupt: self.interrupt.clone() }
    }

    fn handle(&self) -> Result<Handle> {
        match &self.runtime {
            Some(runtime) if runtime.process == process::id() => Ok(runtime.handle.clone()),
            Some(_) => Err(Error::not_applied(
                ErrorKind::Runtime,
                "the runtime belongs to the process before the fork, and does not run in this one",
            )
            .with_hint("create a runtime after the fork, or use the shared one")),
            None => shared(),
        }
    }

    /// Polls the future on this thread until it is ready, or for `limit`. A future that blocks delays only its own
    /// caller, not the runtime. A panic in it propagates.
    pub(super) fn wait<F: Future>(&self, handle: &Handle, limit: Duration, future: F) -> Result<F::Output> {
        let is_within = Handle::try_current().is_ok_and(|current| current.id() == handle.id());
        let wait = || {
            let _entered = handle.enter();
            // Inside a task, Tokio's cooperative budget returns `Pending` once the task has used it up. This wait
            // cannot yield to the scheduler, so it would spin forever.
            self.park(limit, pin!(task::unconstrained(future)))
        };
        if !is_within {
            return wait();
        }
        if handle.runtime_flavor() == RuntimeFlavor::CurrentThread {
            return Err(Error::not_applied(
                ErrorKind::InvalidArgument,
                "a blocking call would wait for its own thread",
            )
            .with_hint("use the asynchronous handle there, or a runtime with several threads"));
        }
        // The tasks queued on this worker move to another one.
        task::block_in_place(wait)
    }

    fn park<F: Future>(&self, limit: Duration, mut future: Pin<&mut F>) -> Result<F::Output> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        let start = Instant::now();
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return Ok(output);
            }
            if self.interrupt.as_ref().is_some_and(|interrupted| interrupted()) {
                return Err(Error::new(ErrorKind::Interrupted, "the wait was interrupted by the caller"));
            }
            let Some(left) = limit.checked_sub(start.elapsed()) else {
                return Err(Error::new(
                    ErrorKind::Timeout,
                    "the runtime did not answer in time: something blocks its threads",
                ));
            };
            thread::park_timeout(if self.interrupt.is_some() { left.min(INTERRUPT_INTERVAL) } else { left });
        }
    }

    /// Like [`wait`](Self::wait), for a call on a storage: the error states the outcome of its change.
    pub(super) fn wait_for_call<F: Future>(
        &self,
        handle: &Handle,
        limit: Duration,
        call: F,
    ) -> Result<F::Output> {
        let (outcome, waited) = withdrawn_outcome(|| self.wait(handle, limit, call));
        waited.map_err(|error| error.with_outcome(outcome.unwrap_or(Outcome::NotApplied)))
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("runtime", &self.runtime.as_ref().map(|runtime| runtime.handle.id()))
            .field("interrupt", &self.interrupt.is_some())
            .finish()
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The runtime of all blocking handles, and the process that its threads belong to.
struct Shared {
    handle: Handle,
    process: u32,
}

static SHARED: ArcSwapOption<Shared> = ArcSwapOption::const_empty();

/// Takes no lock, because a fork could leave it locked.
fn shared() -> Result<Handle> {
    let process = process::id();
    loop {
        let current = SHARED.load();
        if let Some(shared) = current.as_ref().filter(|shared| shared.process == process) {
            return Ok(shared.handle.clone());
        }
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(WORKERS).thread_name("ksm-storage").enable_all();
        let started = can_start_threads(WORKERS).and_then(|()| builder.build()).map_err(|error| {
            Error::not_applied(ErrorKind::Runtime, "the shared runtime's threads cannot be started")
                .with_hint("raise the limit on threads or memory of this process, or close other programs")
                .with_source(error)
        })?;
        let shared = Arc::new(Shared { handle: started.handle().clone(), process });
        let before = SHARED.compare_and_swap(&current, Some(shared));
        if before.as_ref().map(Arc::as_ptr) == current.as_ref().map(Arc::as_ptr) {
            // The runtime is never shut down. Nor may one inherited through a fork be: its threads do not exist there.
            mem::forget(started);
        } else {
            started.shutdown_background();
        }
    }
}

/// Starts and joins this many threads. Tokio panics, or waits forever for the threads that it has started, if it cannot start
/// all of them.
fn can_start_threads(count: usize) -> io::Result<()> {
    let start = |_| {
        let (alive, ended) = mpsc::channel::<()>();
        let thread = thread::Builder::new().spawn(move || ended.recv().is_ok())?;
        Ok((alive, thread))
    };
    let started = (0..count).map(start).collect::<io::Result<Vec<_>>>()?;
    // They run at the same time. Once they are joined, the runtime's threads can have their stacks.
    let (alive, threads): (Vec<_>, Vec<_>) = started.into_iter().unzip();
    drop(alive);
    for thread in threads {
        let _ = thread.join();
    }
    Ok(())
}
