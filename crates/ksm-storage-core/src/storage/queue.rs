use super::change::Entry;

/// Waiting calls, and the state of the committer.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) waiting: Vec<Entry>,
    pub(super) running: bool,
}
