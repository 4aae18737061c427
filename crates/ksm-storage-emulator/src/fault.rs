use std::time::Duration;

/// What one call does instead of answering as it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers with this error code and status 400, and carries nothing out.
    Refuse(&'static str),
    /// Carries nothing out, and breaks off.
    Before(Break),
    /// Carries the call out, and breaks off: its reply is lost.
    After(Break),
    /// Answers as it should, this much later.
    Delay(Duration),
}

/// How an answer is broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// The connection is reset.
    Reset,
    /// No answer ever comes.
    Hang,
    /// An answer of this status, with an error of the service or none.
    Status(u16),
    /// The body ends in the middle.
    Truncated,
    /// The body is none that the protocol knows, but begins as the true one does.
    Malformed,
    /// The body comes one byte at a time, and never to its end.
    Slow,
}

impl Break {
    /// All there are, 5xx once.
    pub const ALL: [Self; 6] =
        [Self::Reset, Self::Hang, Self::Status(503), Self::Truncated, Self::Malformed, Self::Slow];
}
