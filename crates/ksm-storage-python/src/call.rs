//! Calls that wait: without the GIL, until an answer, a signal or the deadline.

use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{self, Receiver, Sender},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use ksm_storage::{ConfigDocument, Error, ErrorKind, blocking::Driver};
use pyo3::{exceptions::PyRuntimeError, prelude::*};

use crate::{error::exception, log, patch::Patch};

/// The longest time between two looks at signals; a wait wakes up at least as often.
const SIGNALS: Duration = Duration::from_millis(50);

thread_local! {
    /// The call that this thread waits for.
    static CALL: RefCell<Option<Call>> = const { RefCell::new(None) };
    /// True while this thread runs a change.
    static IN_CHANGE: Cell<bool> = const { Cell::new(false) };
}

struct Call {
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
    fn new(change: Option<Change>) -> Self {
        Self { next_signals: Instant::now() + SIGNALS, interrupt: None, change }
    }

    /// True if the wait is to end.
    fn poll(&mut self) -> bool {
        if let Some(change) = &mut self.change {
            change.serve();
        }
        if self.next_signals > Instant::now() {
            return self.interrupt.is_some();
        }
        let raised = Python::try_attach(|py| {
            log::emit(py);
            py.check_signals().err()
        });
        self.next_signals = Instant::now() + SIGNALS;
        // At the end of the interpreter nobody waits for the answer.
        let ended = raised.is_none();
        self.interrupt = raised.flatten();
        ended || self.interrupt.is_some()
    }
}

impl Change {
    fn serve(&mut self) {
        while let Ok(Request { document, reply }) = self.requests.try_recv() {
            let outer = IN_CHANGE.replace(true);
            let patch = Python::try_attach(|py| Patch::from_function(self.function.bind(py), &document));
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
    let outer = CALL.replace(Some(Call::new(change)));
    let result = py.detach(|| catch_unwind(AssertUnwindSafe(work)));
    let call = CALL.replace(outer);
    log::emit(py);
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
