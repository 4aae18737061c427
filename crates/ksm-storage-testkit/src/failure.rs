use std::fmt;

use ksm_storage_core::Error;

/// The failure of a case.
#[derive(Clone, Debug)]
pub struct Failure {
    kind: FailureKind,
    message: String,
}

/// The meaning of a failure for the system under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The system violates the contract.
    Wrong,
    /// The case exceeded its time limit: the system hangs, or is slow.
    Hung,
    /// The case proves nothing, because the situation that it tests did not occur.
    Inconclusive,
    /// The fixture is faulty, so the system was not checked.
    Fixture,
    /// The fixture does not offer what the case needs: see [`Verdict::NotChecked`].
    NotChecked,
}

/// The result of a case that found no fault.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The system keeps the guarantee that the case checks.
    Passed,
    /// The case checked nothing, because the fixture does not offer what it needs. The text names it.
    NotChecked(String),
}

impl Failure {
    /// The meaning for the system under test.
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn fixture(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Fixture, message)
    }

    pub(crate) fn not_checked(message: impl Into<String>) -> Self {
        Self::new(FailureKind::NotChecked, message)
    }

    pub(crate) fn inconclusive(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Inconclusive, message)
    }
}

/// Result of a case.
pub(crate) type Checked = Result<(), Failure>;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        format!("unexpected error: {error}").into()
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::new(FailureKind::Wrong, message)
    }
}

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}

/// Fails the case with this message unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::Failure::from(format!($($message)+)));
        }
    };
}
pub(crate) use ensure;

/// Like `ensure!`, for a precondition without which the case proves nothing.
macro_rules! ensure_shown {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::Failure::inconclusive(format!($($message)+)));
        }
    };
}
pub(crate) use ensure_shown;
