//! One call waiting for the committer.

use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    time::Duration,
};

use crate::{
    Clock, ConfigDocument, Error, ErrorKind, Operation, Outcome, Snapshot, Version,
    clock::within,
    sync::{Arc, AtomicU8, Ordering, oneshot, run_blocking},
};

thread_local! {
    /// The address of the handle family whose change runs on this thread, or zero.
    static CHANGING: Cell<usize> = const { Cell::new(0) };
}

/// Returns true if this thread is running a change of any handle family.
pub(crate) fn is_changing_any() -> bool {
    CHANGING.get() != 0
}

/// Returns true if this thread is running a change of the handle family `family`.
pub(super) fn is_changing(family: usize) -> bool {
    CHANGING.get() == family
}

/// The result of running a change, regardless of whether it was stored.
pub(super) enum ChangeResult<T, E> {
    Done(T),
    Refused(E),
    TooLarge(Error),
    Panicked(Box<dyn Any + Send>),
}

/// The answer to a caller: the result of its change with the snapshot that contains it, or the batch's error.
pub(super) type Answer<T, E> = Result<(ChangeResult<T, E>, Snapshot), Error>;

/// The base of a change.
#[derive(Clone, Copy)]
pub(super) struct Base<'a> {
    /// The version that was loaded.
    pub(super) version: &'a Version,
    /// True if no earlier change of the same batch has altered the document.
    pub(super) untouched: bool,
}

/// Arbitrates between a change's caller, who may withdraw it, and the committer, who stores it.
#[derive(Clone, Debug)]
pub(super) struct Claim(Arc<AtomicU8>);

const WAITING: u8 = 0;
const STORING: u8 = 1;
const WITHDRAWN: u8 = 2;
const OVERRUN: u8 = 3;

impl Claim {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicU8::new(WAITING)))
    }

    /// Called when the caller gives up. Returns `NotApplied` if the change was withdrawn in time, otherwise `Unknown`.
    pub(super) fn withdraw(&self) -> Outcome {
        match self.0.compare_exchange(WAITING, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire) {
            Err(STORING) => Outcome::Unknown,
            _ => Outcome::NotApplied,
        }
    }

    /// Called before the store begins. Returns false if the change was withdrawn.
    pub(super) fn begin_store(&self) -> bool {
        self.0.compare_exchange(WAITING, STORING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Called when the store was refused or never begun.
    pub(super) fn end_store(&self) {
        let _ = self.0.compare_exchange(STORING, WAITING, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Called when the change did not return before its call's deadline.
    pub(super) fn overrun(&self) {
        let _ = self.0.compare_exchange(WAITING, OVERRUN, Ordering::AcqRel, Ordering::Acquire);
    }

    pub(super) fn has_overrun(&self) -> bool {
        self.0.load(Ordering::Acquire) == OVERRUN
    }

    pub(super) fn is_storing(&self) -> bool {
        self.0.load(Ordering::Acquire) == STORING
    }

    pub(super) fn is_withdrawn(&self) -> bool {
        self.0.load(Ordering::Acquire) == WITHDRAWN
    }
}

/// A queued call.
pub(super) struct Entry {
    pub(super) claim: Claim,
    pub(super) queued_at: Duration,
    pub(super) deadline: Duration,
    /// `None` while another thread runs the change, after that thread took too long, and once the caller has left.
    pub(super) change: Option<Box<dyn Change>>,
    pub(super) execution: Execution,
    pub(super) operation: Operation,
    /// True if this change returned `Ok` in the batch's latest attempt.
    pub(super) succeeded: bool,
    /// True if it altered the document in that attempt.
    pub(super) altered: bool,
}

/// The thread that runs a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Execution {
    /// The committer's task.
    Inline,
    /// A thread on which the change may block: only its own queue waits for it.
    Offloaded,
}

impl Entry {
    /// Runs the change on a copy of the document, until the call's own deadline. Returns the copy if it should be kept.
    pub(super) async fn run(
        &mut self,
        clock: &dyn Clock,
        family: usize,
        base: Base<'_>,
        mut document: ConfigDocument,
    ) -> Option<ConfigDocument> {
        if self.execution == Execution::Inline {
            let keep = self.change.as_mut()?.apply(family, base, &mut document);
            return keep.then_some(document);
        }
        let (mut change, version) = (self.change.take()?, base.version.clone());
        let mut running = pin!(run_blocking(move || {
            let base = Base { version: &version, untouched: base.untouched };
            let keep = change.apply(family, base, &mut document);
            (change, keep.then_some(document))
        }));
        let Some(ran) = within(clock, self.deadline, running.as_mut()).await else {
            // Recorded before `running` is dropped: the reply may be dropped with it, which wakes the caller.
            self.claim.overrun();
            return None;
        };
        let (change, document) = ran?;
        self.change = Some(change);
        document
    }

    /// Returns true if this change may create the document: to it, an empty store is an empty document.
    pub(super) fn creates(&self) -> bool {
        self.operation == Operation::OpenOrCreate
    }

    /// Returns true if the call's answer claims that the stored document contains the change, even if none was necessary.
    pub(super) fn acknowledges(&self) -> bool {
        self.succeeded && self.operation.writes() && !self.creates()
    }

    /// Returns true if `version` contains this change, from an earlier store that met a conflict.
    pub(super) fn is_in(&self, version: &Version) -> bool {
        self.change.as_ref().is_some_and(|change| change.is_in(version))
    }

    /// Fails the change that produced a document of `len` bytes.
    pub(super) fn discard(&mut self, len: usize, limit: usize) {
        let message = format!("the document would be {len} bytes long; the store accepts at most {limit}");
        if let Some(change) = &mut self.change {
            change.discard(Error::not_applied(ErrorKind::TooLarge, message));
        }
    }

    /// Answers the call, unless its caller has left.
    pub(super) fn answer(self, result: Result<Snapshot, Error>) {
        if let Some(change) = self.change {
            change.answer(result);
        }
    }
}

/// A call's change, with its result type erased.
pub(super) trait Change: Send {
    /// Runs the change. Returns true if `document` should be kept.
    fn apply(&mut self, family: usize, base: Base<'_>, document: &mut ConfigDocument) -> bool;

    /// Discards the document that the change produced, because it is too large.
    fn discard(&mut self, error: Error);

    /// Keeps the result of this attempt, in case one of these versions, which contain the change, becomes current.
    fn keep_result(&mut self, versions: &[Version]);

    /// Returns true if a result was kept for `version`.
    fn is_in(&self, version: &Version) -> bool;

    /// Answers the call with the snapshot that contains its change, or with the batch's failure.
    fn answer(self: Box<Self>, result: Result<Snapshot, Error>);
}

pub(super) struct Pending<F, T, E> {
    change: F,
    change_result: Option<ChangeResult<T, E>>,
    /// Results of attempts that met a conflict, with the versions that contain them.
    kept: Vec<(Vec<Version>, ChangeResult<T, E>)>,
    reply: oneshot::Sender<Answer<T, E>>,
}

impl<F, T, E> Pending<F, T, E> {
    pub(super) fn new(change: F, reply: oneshot::Sender<Answer<T, E>>) -> Self {
        Self { change, change_result: None, kept: Vec::new(), reply }
    }
}

impl<F, T, E> Change for Pending<F, T, E>
where
    F: FnMut(Base<'_>, &mut ConfigDocument) -> Result<T, E> + Send,
    T: Send,
    E: Send,
{
    fn apply(&mut self, family: usize, base: Base<'_>, document: &mut ConfigDocument) -> bool {
        let outer = CHANGING.replace(family);
        let result = catch_unwind(AssertUnwindSafe(|| (self.change)(base, document)));
        CHANGING.set(outer);
        let (change_result, keep) = match result {
            Ok(Ok(value)) => (ChangeResult::Done(value), true),
            Ok(Err(refusal)) => (ChangeResult::Refused(refusal), false),
            Err(panic) => (ChangeResult::Panicked(panic), false),
        };
        self.change_result = Some(change_result);
        keep
    }

    fn discard(&mut self, error: Error) {
        self.change_result = Some(ChangeResult::TooLarge(error));
    }

    fn keep_result(&mut self, versions: &[Version]) {
        if !versions.is_empty() {
            self.kept.extend(self.change_result.take().map(|result| (versions.to_vec(), result)));
        }
    }

    fn is_in(&self, version: &Version) -> bool {
        self.kept.iter().any(|(versions, _)| versions.contains(version))
    }

    fn answer(mut self: Box<Self>, result: Result<Snapshot, Error>) {
        if let Ok(snapshot) = &result
            && let Some(at) = self.kept.iter().position(|(versions, _)| versions.contains(snapshot.version()))
        {
            self.change_result = Some(self.kept.swap_remove(at).1);
        }
        let answer = match (result, self.change_result) {
            (Ok(snapshot), Some(change_result)) => Ok((change_result, snapshot)),
            (Ok(_), None) => Err(ended_early(Outcome::NotApplied)),
            (Err(error), _) => Err(error),
        };
        // Ignore the error: a caller that has left needs no answer.
        let _ = self.reply.send(answer);
    }
}

/// The answer of a committer that was dropped before it had one.
pub(super) fn ended_early(outcome: Outcome) -> Error {
    Error::new(
        ErrorKind::Runtime,
        "the task that carries out writes has ended, perhaps because its runtime was shut down",
    )
    .with_outcome(outcome)
}
