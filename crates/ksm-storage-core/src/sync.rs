//! The synchronisation primitives that this crate uses, in one place, so that a scheduler explorer can replace them.

pub(crate) use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU8, Ordering},
};

pub(crate) use arc_swap::{ArcSwap, Guard};
pub(crate) use tokio::sync::oneshot;

/// Locks, whatever a panicking holder left behind: every critical section here leaves its data whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
