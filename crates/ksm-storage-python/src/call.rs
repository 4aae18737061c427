//! Calls that wait: without the GIL, until an answer, a signal or the deadline.

use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use ksm_storage::{ConfigDocument, Error, ErrorKind, blocking::Driver};
use pyo3::{exceptions::PyRuntimeError, prelude::*};

use crate::{error::exception, patch::Patch};

/// The longest time between two looks at signals; a wait wakes up at least as often.
const SIGNALS: Duration = Duration::from_millis(50);

thread_local! {
    /// The call that this thread waits for.
    static CALL: RefCell<Option<Call>> = const { RefCell::new(None) };
    /// True while this thread runs a change.
    static IN_CHANGE: Cell<bool> = const { Cell::new(false) };
}

/// True once the interpreter is about to end.
static ENDING: AtomicBool = AtomicBool::new(false);
/// The number of threads that are about to take the GIL.
static TAKING: AtomicUsize = AtomicUsize::new(0);

/// Keeps other threads from taking the GIL from now on: the interpreter ends one that does so during its own end, by unwinding its
/// stack, which frames of Rust do not bear.
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

/// The right to take the GIL, until dropped.
struct Taking;

impl Taking {
    /// `None` if the interpreter is about to end, on another thread than this one.
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

/// The state of a daemon thread while the interpreter ends.
fn hang() -> ! {
    loop {
        thread::park();
    }
}

fn is_main(py: Python<'_>) -> PyResult<bool> {
    let threading = py.import("threading")?;
    let main = threading.call_method0("main_thread")?.getattr("ident")?;
    main.eq(threading.call_method0("get_ident")?)
}

struct Call {
    is_main: bool,
    next_signals: Instant,
    /// Raised by the handler of a signal.
    interrupt: Option<PyErr>,
    change: Option<Change>,
}

/// A change that is a Python function. It runs on the thread that called, wherever the document comes from.
struct Change {
    function: Py<PyAny>,
    requests: Receiver<Request>,
    /// Raised by the latest run.
    raised: Option<PyErr>,
}

struct Request {
    document: ConfigDocument,
    /// Dropped if the function raises.
    reply: Sender<Patch>,
}

/// The side of a change that core runs.
pub(crate) struct RemoteChange {
    requests: Sender<Request>,
    caller: Thread,
}

impl RemoteChange {
    /// Has the caller's thread run the function on the document.
    pub(crate) fn apply(&self, document: &mut ConfigDocument) -> Result<(), Error> {
        let stopped = || Error::refused("the change was stopped");
        let (reply, answer) = mpsc::channel();
        let request = Request { document: document.clone(), reply };
        self.requests.send(request).map_err(|_| stopped())?;
        self.caller.unpark();
        answer.recv().map_err(|_| stopped())?.apply(document)
    }
}

/// The driver of all storages: it looks at signals, and runs changes.
pub(crate) fn driver() -> Driver {
    Driver::new().interrupt(|| {
        // Out of the cell: the handler of a signal may make a call itself.
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

    /// True if the wait is to end.
    fn poll(&mut self) -> bool {
        if let Some(change) = &mut self.change {
            change.serve(self.is_main);
        }
        // Signals are handled by the main thread.
        if self.is_main && self.next_signals <= Instant::now() {
            self.interrupt = Python::try_attach(|py| py.check_signals().err()).flatten();
            self.next_signals = Instant::now() + SIGNALS;
        }
        self.interrupt.is_some()
    }
}

impl Change {
    fn serve(&mut self, is_main: bool) {
        while let Ok(Request { document, reply }) = self.requests.try_recv() {
            let Some(taking) = Taking::new(is_main) else { hang() };
            let outer = IN_CHANGE.replace(true);
            let patch = Python::try_attach(|py| {
                drop(taking);
                Patch::from_function(self.function.bind(py), &document)
            });
            IN_CHANGE.set(outer);
            let Some(patch) = patch else { continue };
            self.raised = match patch {
                // The receiver is gone if the deadline has passed.
                Ok(patch) => reply.send(patch).err().and(None),
                Err(raised) => Some(raised),
            };
        }
    }
}

/// Runs `work`, which waits by means of the [`driver`], without the GIL.
pub(crate) fn call<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T, Error> + Send) -> PyResult<T> {
    run(py, None, work)
}

/// As [`call`], for a change that is a Python function.
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
        let error = Error::not_applied(
            ErrorKind::InvalidArgument,
            "a change must not wait for a storage, least of all for its own",
        )
        .with_hint("work on the configuration that the change is given");
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
        // The message stays out of the exception: it may quote a secret.
        Err(_) => Err(PyRuntimeError::new_err(
            "a defect in ksm_storage: its native part panicked; please report it",
        )),
    }
}
