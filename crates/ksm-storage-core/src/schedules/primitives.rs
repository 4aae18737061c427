//! Replacements for the primitives of [`crate::sync`]. At each use, the scheduler may run another task.
//!
//! Memory is sequentially consistent here, so orderings that are too weak are not detected.

pub(crate) use arc_swap::Guard;
pub(crate) use shuttle::{
    future::yield_now,
    sync::{Mutex, MutexGuard},
};

use std::convert::Infallible;

use shuttle::{future::AbortHandle, sync::atomic};

use super::Fault;
use crate::sync::{Arc, Ordering};

/// A point at which another task may run.
fn point() {
    atomic::AtomicBool::new(false).load(Ordering::SeqCst);
}

#[derive(Debug)]
pub(crate) struct AtomicU8(atomic::AtomicU8);

impl AtomicU8 {
    pub(crate) fn new(value: u8) -> Self {
        Self(atomic::AtomicU8::new(value))
    }

    pub(crate) fn load(&self, order: Ordering) -> u8 {
        self.0.load(order)
    }

    pub(crate) fn compare_exchange(
        &self,
        current: u8,
        new: u8,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u8, u8> {
        if !Fault::TornClaim.is_injected() {
            return self.0.compare_exchange(current, new, success, failure);
        }
        let seen = self.0.load(failure);
        if seen != current {
            return Err(seen);
        }
        self.0.store(new, Ordering::SeqCst);
        Ok(seen)
    }
}

/// Wraps the real type: each operation is one step.
pub(crate) struct ArcSwap<T>(Arc<arc_swap::ArcSwap<T>>);

impl<T: Send + Sync + 'static> ArcSwap<T> {
    pub(crate) fn new(value: Arc<T>) -> Self {
        Self(Arc::new(arc_swap::ArcSwap::new(value)))
    }

    pub(crate) fn load(&self) -> Guard<Arc<T>> {
        point();
        self.0.load()
    }

    pub(crate) fn load_full(&self) -> Arc<T> {
        point();
        self.0.load_full()
    }

    pub(crate) fn store(&self, value: Arc<T>) {
        point();
        if Fault::LateSwap.is_injected() {
            let current = Arc::clone(&self.0);
            shuttle::future::spawn(async move { current.store(value) });
        } else {
            self.0.store(value);
        }
    }
}

/// Wraps the real type: each operation is one step.
pub(crate) mod oneshot {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use tokio::sync::oneshot::{
        self,
        error::{RecvError, TryRecvError},
    };

    pub(crate) struct Sender<T>(oneshot::Sender<T>);
    pub(crate) struct Receiver<T>(oneshot::Receiver<T>);

    pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
        let (sender, receiver) = oneshot::channel();
        (Sender(sender), Receiver(receiver))
    }

    impl<T> Sender<T> {
        pub(crate) fn send(self, value: T) -> Result<(), T> {
            super::point();
            self.0.send(value)
        }
    }

    impl<T> Receiver<T> {
        pub(crate) fn try_recv(&mut self) -> Result<T, TryRecvError> {
            super::point();
            self.0.try_recv()
        }
    }

    impl<T> Future for Receiver<T> {
        type Output = Result<T, RecvError>;

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
            super::point();
            Pin::new(&mut self.0).poll(context)
        }
    }
}

/// Nothing blocks here.
#[expect(clippy::unused_async, reason = "the real one waits")]
pub(crate) async fn run_blocking<T>(call: impl FnOnce() -> T) -> Option<T> {
    Some(call())
}

shuttle::lazy_static! {
    /// The tasks spawned in this execution.
    static ref SPAWNED: std::sync::Mutex<Vec<AbortHandle>> = std::sync::Mutex::default();
}

/// Handle to the explorer's own executor, which is always available.
pub(crate) struct Handle;

impl Handle {
    #[expect(clippy::unnecessary_wraps, reason = "the real one may fail")]
    pub(crate) fn try_current() -> Result<Self, Infallible> {
        Ok(Self)
    }

    #[expect(clippy::unused_self, reason = "the real one is needed")]
    pub(crate) fn spawn<F>(&self, future: F)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let task = shuttle::future::spawn(future);
        SPAWNED.lock().unwrap().push(task.abort_handle());
    }

    /// Aborts all spawned tasks, as a runtime does when it is shut down.
    pub(crate) fn end_spawned() {
        let spawned = std::mem::take(&mut *SPAWNED.lock().unwrap());
        spawned.iter().for_each(AbortHandle::abort);
    }
}
