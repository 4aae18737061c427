use std::time::Duration;

use super::{change::Entry, reader::timeout};
use crate::Error;

/// Waiting calls, and the state of the committer.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) waiting: Vec<Entry>,
    pub(super) running: bool,
    pub(super) stage: Stage,
    /// The number of the latest batch, and the time at which it was taken.
    pub(super) batch: u64,
    pub(super) taken_at: Duration,
}

impl Queue {
    /// Records that a batch was taken. Its committer begins with a load.
    pub(super) fn begin_batch(&mut self, taken_at: Duration) {
        self.batch += 1;
        self.taken_at = taken_at;
        self.stage = Stage::Load;
    }
}

/// The part of a commit that the committer waits for. Used only to word an error.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Stage {
    #[default]
    Load,
    Change,
    Store,
    Pause,
}

impl Stage {
    /// The error of a call whose deadline passes at this stage.
    pub(super) fn timeout_error(self) -> Error {
        timeout(match self {
            // A stale version counts as none.
            Self::Load => "the store returned no current version before the deadline",
            Self::Change => "a change did not return before the deadline",
            Self::Store => "the store did not answer before the deadline",
            Self::Pause => "other writers were faster on every attempt before the deadline",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_begin_with_a_load() {
        let mut queue = Queue { batch: 1, stage: Stage::Store, ..Queue::default() };
        queue.begin_batch(Duration::from_secs(3));
        assert!(matches!(queue.stage, Stage::Load), "{:?}", queue.stage);
        assert_eq!((queue.batch, queue.taken_at), (2, Duration::from_secs(3)));
    }
}
