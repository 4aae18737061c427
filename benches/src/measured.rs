//! Everything that was measured.

use crate::{queue::Queue, samples::Table, start::Starts};

pub(crate) struct Measured {
    pub(crate) starts: Starts,
    pub(crate) queue: Queue,
    /// Nanoseconds of one read, by subject and number of threads: `get/2`.
    pub(crate) reads: Table,
}
