//! The points of a commit at which the scheduler tests inject faults. Elsewhere nothing happens there.

use super::{Shared, change::Entry, queue::Queue};
use crate::{
    ConfigDocument, Version,
    sync::{Mutex, MutexGuard},
};

/// All that waited was taken from the queue, which is still locked.
#[cfg(not(all(test, shuttle)))]
pub(super) fn taken<'a>(_: &'a Mutex<Queue>, locked: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
    locked
}

/// A load has ended, on which `batch` is about to be run.
#[cfg(not(all(test, shuttle)))]
pub(super) fn loaded(_: &Mutex<Queue>, _batch: &mut Vec<Entry>) {}

/// `document` is about to be stored.
#[cfg(not(all(test, shuttle)))]
pub(super) fn storing(_: &Shared, _base: &Version, _document: &ConfigDocument) {}

/// A committer that was ended has given the queue back.
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
