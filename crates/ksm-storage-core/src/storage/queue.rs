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
