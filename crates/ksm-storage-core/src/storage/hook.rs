//! Points of a commit at which the scheduler tests inject faults. No-ops otherwise.

use super::{Shared, change::Entry, queue::Queue};
use crate::{
    ConfigDocument, Version,
    sync::{Mutex, MutexGuard},
};

/// All waiting entries were taken from the queue, which is still locked.
#[cfg(not(all(test, shuttle)))]
pub(super) fn taken<'a>(_: &'a Mutex<Queue>, locked: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
    locked
}

/// A load has finished, and `batch` is about to run on it.
#[cfg(not(all(test, shuttle)))]
pub(super) fn loaded(_: &Mutex<Queue>, _batch: &mut Vec<Entry>) {}

/// `document` is about to be stored.
#[cfg(not(all(test, shuttle)))]
pub(super) fn storing(_: &Shared, _base: &Version, _document: &ConfigDocument) {}

/// A dropped committer has released the queue.
#[cfg(not(all(test, shuttle)))]
pub(super) fn abandoned(_: &mut Queue) {}

#[cfg(all(test, shuttle))]
pub(super) use faults::*;

#[cfg(all(test, shuttle))]
mod faults {
    use super::*;
    use crate::{schedules::Fault, sync::lock};

    pub(in super::super) fn taken<'a>(
        queue: &'a Mutex<Queue>,
        locked: MutexGuard<'a, Queue>,
    ) -> MutexGuard<'a, Queue> {
        if !Fault::LateHandOver.is_injected() {
            return locked;
        }
        drop(locked);
        lock(queue)
    }

    pub(in super::super) fn loaded(queue: &Mutex<Queue>, batch: &mut Vec<Entry>) {
        if Fault::LateJoin.is_injected() {
            batch.append(&mut lock(queue).waiting);
        }
    }

    pub(in super::super) fn storing(shared: &Shared, base: &Version, document: &ConfigDocument) {
        if Fault::EarlyInstall.is_injected() {
            shared.install(base, document.clone());
        }
    }

    pub(in super::super) fn abandoned(queue: &mut Queue) {
        queue.running |= Fault::LeftRunning.is_injected();
    }
}
