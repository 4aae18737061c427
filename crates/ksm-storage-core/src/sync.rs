//! The synchronisation primitives that this crate uses, and its spawning, in one place: for the tests in
//! `schedules` replacements take their place, at every use of which another task may run.

pub(crate) use std::sync::{Arc, PoisonError, atomic::Ordering};

#[cfg(not(all(test, shuttle)))]
mod primitives {
    pub(crate) use std::sync::{Mutex, MutexGuard, atomic::AtomicU8};

    pub(crate) use arc_swap::{ArcSwap, Guard};
    pub(crate) use tokio::{runtime::Handle, sync::oneshot};
}

#[cfg(all(test, shuttle))]
use crate::schedules::primitives;

pub(crate) use primitives::{ArcSwap, AtomicU8, Guard, Handle, Mutex, MutexGuard, oneshot};

/// Locks, whatever a panicking holder left behind: every critical section here leaves its data whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
