//! One call of a handle: queues it, waits for it, and decorates its error.

use std::{cell::Cell, panic, time::Duration};

use tracing::instrument::WithSubscriber;

use super::{
    ConfigStorage,
    change::{Answer, Base, ChangeResult, Claim, Entry, Execution, Pending, ended_early, is_changing},
    committer::Committer,
};
use crate::{
    ConfigDocument, Error, ErrorKind, Operation, Outcome, Result,
    clock::within,
    sync::{Arc, Handle, lock, oneshot},
};

impl ConfigStorage {
    pub(super) async fn write<T, F>(&self, operation: Operation, change: F) -> Result<T>
    where
        F: FnMut(Base<'_>, &mut ConfigDocument) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let (result, _) = self.call(operation, Execution::Inline, change).await?;
        finish(result, |error| error).map_err(|error| self.decorate(operation, error))
    }

    /// One call of a handle, from its deadline to its error.
    pub(super) async fn call<T, E, F>(
        &self,
        operation: Operation,
        execution: Execution,
        change: F,
    ) -> Answer<T, E>
    where
        F: FnMut(Base<'_>, &mut ConfigDocument) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let deadline = self.shared.clock.now().saturating_add(self.shared.options.deadline);
        self.submit(operation, execution, deadline, change)
            .await
            .map_err(|error| self.decorate(operation, error))
    }

    /// Queues a change, ensures that a committer runs, and waits for the answer or the deadline.
    pub(super) async fn submit<T, E, F>(
        &self,
        operation: Operation,
        execution: Execution,
        deadline: Duration,
        change: F,
    ) -> Answer<T, E>
    where
        F: FnMut(Base<'_>, &mut ConfigDocument) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let shared = &self.shared;
        shared.refuse_after_fork()?;
        if operation.writes() {
            shared.refuse_write()?;
        }
        self.refuse_within_change()?;
        let runtime = runtime()?;
        let (reply, mut answer) = oneshot::channel();
        let claim = Claim::new();
        let change = Box::new(Pending::new(change, reply));
        let queued_at = shared.clock.now();
        let (start, batch) = {
            let mut queue = lock(&shared.queue);
            queue.waiting.push(Entry {
                claim: claim.clone(),
                queued_at,
                deadline,
                change: Some(change),
                execution,
                operation,
                succeeded: false,
                altered: false,
            });
            (!std::mem::replace(&mut queue.running, true), queue.batch + 1)
        };
        let withdrawal = Withdrawal(&claim);
        if start {
            runtime.spawn(Committer::new(Arc::clone(shared)).run().with_current_subscriber());
        }
        let lost = match within(&*shared.clock, deadline, &mut answer).await {
            Some(Ok(answered)) => return answered,
            Some(Err(_)) if !claim.has_overrun() => ended_early(Outcome::NotApplied),
            _ => shared.timeout_error(&claim, batch, queued_at),
        };
        let outcome = withdrawal.0.withdraw();
        // The answer may have come while the claim was being settled.
        answer.try_recv().unwrap_or_else(|_| Err(lost.with_outcome(outcome)))
    }

    /// Rejects a call from inside a change of this handle family, because it would wait for itself.
    fn refuse_within_change(&self) -> Result<()> {
        if is_changing(self.shared.family()) { Err(within_change()) } else { Ok(()) }
    }
}

pub(crate) fn within_change() -> Error {
    Error::not_applied(ErrorKind::InvalidArgument, "a change must not wait for a write")
        .with_hint("use the document that is passed to the change")
}

/// The runtime of this thread, which every call except a read needs.
pub(super) fn runtime() -> Result<Handle> {
    Handle::try_current().map_err(|_| Error::no_runtime())
}

/// Withdraws the change of a dropped call, if that is still possible.
struct Withdrawal<'a>(&'a Claim);

impl Drop for Withdrawal<'_> {
    fn drop(&mut self) {
        WITHDRAWN.set(Some(self.0.withdraw()));
    }
}

thread_local! {
    static WITHDRAWN: Cell<Option<Outcome>> = const { Cell::new(None) };
}

/// Runs `wait`, and returns the outcome of the change whose call it dropped, if any.
pub(crate) fn withdrawn_outcome<T>(wait: impl FnOnce() -> T) -> (Option<Outcome>, T) {
    WITHDRAWN.set(None);
    let waited = wait();
    (WITHDRAWN.take(), waited)
}

/// The result of the change itself. A panic resumes in the change's own caller.
pub(super) fn finish<T, E: From<Error>>(
    result: ChangeResult<T, E>,
    name: impl FnOnce(Error) -> Error,
) -> Result<T, E> {
    match result {
        ChangeResult::Done(value) => Ok(value),
        ChangeResult::Refused(refusal) => Err(refusal),
        ChangeResult::TooLarge(error) => Err(name(error).into()),
        ChangeResult::Panicked(panic) => panic::resume_unwind(panic),
    }
}
