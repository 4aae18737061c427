//! The crate's synchronization primitives and its task spawning, in one place, so that the tests in `schedules` can
//! substitute versions that may switch to another task at each use.

pub(crate) use std::sync::{Arc, PoisonError, atomic::Ordering};

#[cfg(not(all(test, shuttle)))]
mod primitives {
    pub(crate) use std::sync::{Mutex, MutexGuard, atomic::AtomicU8};

    pub(crate) use arc_swap::{ArcSwap, Guard};
    pub(crate) use tokio::{runtime::Handle, sync::oneshot, task::yield_now};

    use tokio::task::{AbortHandle, spawn_blocking};
    use tracing::dispatcher;

    /// Runs `call` on a thread that may block, with this thread's subscriber. Returns `None` if the runtime ends. If
    /// the future is dropped before the call has begun, the call never runs.
    pub(crate) async fn run_blocking<T: Send + 'static>(
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        struct Abort(AbortHandle);
        impl Drop for Abort {
            fn drop(&mut self) {
                self.0.abort();
            }
        }

        let subscriber = dispatcher::get_default(Clone::clone);
        let task = spawn_blocking(move || dispatcher::with_default(&subscriber, call));
        let _abort = Abort(task.abort_handle());
        task.await.ok()
    }
}

#[cfg(all(test, shuttle))]
use crate::schedules::primitives;

pub(crate) use primitives::{
    ArcSwap, AtomicU8, Guard, Handle, Mutex, MutexGuard, oneshot, run_blocking, yield_now,
};

/// Locks, ignoring poison: every critical section here leaves its data consistent.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
