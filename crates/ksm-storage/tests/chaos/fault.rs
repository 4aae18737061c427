//! The faults that a request or process may meet.

use std::fmt;

/// A fault of a request, its reply, or the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    RequestDropped,
    ReplyDropped,
    Delayed,
    /// Delivered twice. The first reply is returned, and the second delivery may follow much later.
    DuplicatedFirst,
    DuplicatedSecond,
    Reordered,
    Truncated,
    ResetBefore,
    ResetAfter,
    Throttled,
    /// Answered with status 500, and not carried out.
    ErrorBefore,
    /// Carried out and answered with status 500.
    ErrorAfter,
    /// A read by label returns an earlier version.
    Stale,
    /// The process was paused.
    Paused,
    /// The process was killed during a call that was carried out nevertheless.
    Killed,
}

impl Fault {
    pub(crate) const ALL: [Self; 15] = [
        Self::RequestDropped,
        Self::ReplyDropped,
        Self::Delayed,
        Self::DuplicatedFirst,
        Self::DuplicatedSecond,
        Self::Reordered,
        Self::Truncated,
        Self::ResetBefore,
        Self::ResetAfter,
        Self::Throttled,
        Self::ErrorBefore,
        Self::ErrorAfter,
        Self::Stale,
        Self::Paused,
        Self::Killed,
    ];
    /// The number of faults that affect single requests.
    pub(crate) const OF_REQUESTS: usize = 12;
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::RequestDropped => "request dropped",
            Self::ReplyDropped => "reply dropped",
            Self::Delayed => "delayed",
            Self::DuplicatedFirst => "duplicated, first reply",
            Self::DuplicatedSecond => "duplicated, second reply",
            Self::Reordered => "reordered",
            Self::Truncated => "truncated",
            Self::ResetBefore => "reset before",
            Self::ResetAfter => "reset after",
            Self::Throttled => "throttled",
            Self::ErrorBefore => "status 500 before",
            Self::ErrorAfter => "status 500 after",
            Self::Stale => "stale read by label",
            Self::Paused => "process paused",
            Self::Killed => "process killed, stored all the same",
        })
    }
}
