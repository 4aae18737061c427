use super::change::Entry;

/// Calls that wait, and whether a committer runs.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) waiting: Vec<Entry>,
    pub(super) running: bool,
}
