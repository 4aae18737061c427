//! Blocking calls, which release the GIL until there is an answer, a signal, or the deadline passes.

use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    process,
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use ksm_storage::{ConfigDocument, Error, ErrorKind, blocking::Driver};
use pyo3::prelude::*;

use crate::{error::exception, patch::Patch};

/// The maximum interval between two checks for signals.
const SIGNALS: Duration = Duration::from_millis(50);

thread_local! {
    /// The call that this thread is waiting for.
    static CALL: RefCell<Option<Call>> = const { RefCell::new(None) };
    /// True while this thread runs a change.
    static IN_CHANGE: Cell<bool> = const { Cell::new(false) };
}

/// True once the interpreter is about to exit.
static ENDING: AtomicBool = AtomicBool::new(false);
/// The number of threads that are about to acquire the GIL.
static TAKING: AtomicUsize = AtomicUsize::new(0);

/// Stops other threads from acquiring the GIL. During its exit, the interpreter ends such threads by unwinding their
/// stacks, which is not allowed through Rust frames.
#[pyfunction]
pub(crate) fn end(py: Python<'_>) {
    ENDING.store(true, Ordering::SeqCst);
    py.detach(|| {
        let start = Instant::now();
        while TAKING.load(Ordering::SeqCst) > 0 && start.elapsed() < Duration::from_secs(1) {
            thread::sleep(Duration::from_millis(1));
        }
    });
}

/// Permission to acquire the GIL, until dropped.
struct Taking;

impl Taking {
    /// Returns `None` if the interpreter is about to exit on another thread.
    fn new(is_main: bool) -> Option<Self> {
        TAKING.fetch_add(1, Ordering::SeqCst);
        let taking = Self;
        (is_main || !ENDING.load(Ordering::SeqCst)).then_some(taking)
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        TAKING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Blocks a daemon thread forever while the interpreter exits.
fn hang() -> ! {
    loop {
        thread::park();
    }
}

fn is_main(py: Python<'_>) -> PyResult<bool> {
    // Late during its exit, when objects are finalized, the interpreter has no modules, and runs no other thread.
    let Ok(threading) = py.import("threading") else { return Ok(ENDING.load(Ordering::SeqCst)) };
    let main = threading.call_method0("main_thread")?.getattr("ident")?;
    main.eq(threading.call_method0("get_ident")?)
}

struct Call {
    is_main: bool,
    next_signals: Instant,
    /// The exception raised by a signal handler.
    interrupt: Option<PyErr>,
    change: Option<Change>,
}

/// A change that is a Python function. It runs on the calling thread, even though core runs changes on another.
struct Change {
    function: Py<PyAny>,
    requests: Receiver<Request>,
    /// The exception raised by the latest run.
    raised: Option<PyErr>,
}

struct Request {
    document: ConfigDocument,
    /// Dropped if the function raises.
    reply: Sender<Patch>,
}

/// Core's side of a change, which runs on core's thread.
pub(crate) struct RemoteChange {
    requests: Sender<Request>,
    caller: Thread,
}

impl RemoteChange {
    /// Asks the caller's thread to run the function on the document.
    pub(crate) fn apply(&self, document: &mut ConfigDocument) -> Result<(), Error> {
        let stopped = || Error::refused("the change was stopped");
        let (reply, answer) = mpsc::channel();
        let request = Request { document: document.clone(), reply };
        self.requests.send(request).map_err(|_| stopped())?;
        self.caller.unpark();
        answer.recv().map_err(|_| stopped())?.apply(document)
    }
}

/// The driver of all storages, which checks for signals and runs changes.
pub(crate) fn driver() -> Driver {
    Driver::new().interrupt(|| {
        // Taken out, because a signal handler may make a call itself.
        let Some(mut call) = CALL.take() else { return false };
        let stop = call.poll();
        CALL.set(Some(call));
        stop
    })
}

impl Call {
    fn new(is_main: bool, change: Option<Change>) -> Self {
        Self { is_main, next_signals: Instant::now() + SIGNALS, interrupt: None, change }
    }

    /// Returns true if the wait should end.
    fn poll(&mut self) -> bool {
        if let Some(change) = &mut self.change {
            self.interrupt = change.serve(self.is_main);
        }
        // The main thread handles signals.
        if self.interrupt.is_none() && self.is_main && self.next_signals <= Instant::now() {
            self.interrupt = Python::try_attach(|py| py.check_signals().err()).flatten();
            self.next_signals = Instant::now() + SIGNALS;
        }
        self.interrupt.is_some()
    }
}

impl Change {
    /// Runs the function for each request. Returns an exception in a process that the function has forked: there, no
    /// thread continues the call.
    fn serve(&mut self, is_main: bool) -> Option<PyErr> {
        while let Ok(Request { document, reply }) = self.requests.try_recv() {
            let Some(taking) = Taking::new(is_main) else { hang() };
            let (outer, process) = (IN_CHANGE.replace(true), process::id());
            let patch = Python::try_attach(|py| {
                drop(taking);
                Patch::from_function(self.function.bind(py), &document)
            });
            IN_CHANGE.set(outer);
            if process::id() != process {
                let error = Error::refused("the function passed to update has forked this process")
                    .with_hint("only the parent process continues the update: end the child in the function");
                return Python::try_attach(|py| exception(py, &error));
            }
            let Some(patch) = patch else { continue };
            self.raised = match patch {
                // The receiver is gone if the deadline has passed.
                Ok(patch) => reply.send(patch).err().and(None),
                Err(raised) => Some(raised),
            };
        }
        None
    }
}

/// Releases the GIL and runs `work`, which waits through the [`driver`].
pub(crate) fn call<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T, Error> + Send) -> PyResult<T> {
    run(py, None, work)
}

/// Like [`call`], with a change that is a Python function.
pub(crate) fn call_with_change<T: Send>(
    py: Python<'_>,
    function: Py<PyAny>,
    work: impl FnOnce(RemoteChange) -> Result<T, Error> + Send,
) -> PyResult<T> {
    let (sender, requests) = mpsc::channel();
    let remote = RemoteChange { requests: sender, caller: thread::current() };
    run(py, Some(Change { function, requests, raised: None }), || work(remote))
}

fn run<T: Send>(
    py: Python<'_>,
    change: Option<Change>,
    work: impl FnOnce() -> Result<T, Error> + Send,
) -> PyResult<T> {
    if IN_CHANGE.get() {
        let error = Error::not_applied(ErrorKind::InvalidArgument, "a change must not wait for a storage")
            .with_hint("use the configuration that is passed to the change");
        return Err(exception(py, &error));
    }
    let is_main = is_main(py)?;
    let outer = CALL.replace(Some(Call::new(is_main, change)));
    let (result, taking) = py.detach(|| {
        let result = catch_unwind(AssertUnwindSafe(work));
        (result, Taking::new(is_main).unwrap_or_else(|| hang()))
    });
    drop(taking);
    let call = CALL.replace(outer);
    let (interrupt, change) = call.map(|call| (call.interrupt, call.change)).unwrap_or_default();
    if let Some(interrupt) = interrupt {
        return Err(interrupt);
    }
    match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => match change.and_then(|change| change.raised) {
            Some(raised) if error.kind() == ErrorKind::Refused => Err(raised),
            _ => Err(exception(py, &error)),
        },
        // The panic's message may quote a secret, so the exception omits it.
        Err(_) => {
            let error = Error::new(ErrorKind::Unexpected, "the native part of ksm_storage panicked");
            Err(exception(py, &error.with_hint("report it, with the panic message from standard error")))
        }
    }
}
