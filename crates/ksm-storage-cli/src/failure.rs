//! The failure of a command.

use std::{borrow::Cow, io};

use ksm_storage::{Error, ErrorKind, Outcome, keeper};

use crate::exit::Exit;

/// The printable part of a failure, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) kind: &'static str,
    pub(crate) outcome: Outcome,
    /// The whole line, with the hint.
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A failure before anything is written.
    pub(crate) fn new(
        exit: Exit,
        kind: &'static str,
        problem: impl Into<Cow<'static, str>>,
        hint: &str,
    ) -> Self {
        let (problem, outcome) = (problem.into(), Outcome::NotApplied);
        Self { exit, kind, outcome, message: format!("{problem}; {hint}"), hint: Some(hint.to_owned()) }
    }

    pub(crate) fn usage(problem: impl Into<Cow<'static, str>>, hint: &str) -> Self {
        Self::new(Exit::Usage, ErrorKind::InvalidArgument.as_str(), problem, hint)
    }

    pub(crate) fn refused(problem: impl Into<Cow<'static, str>>, hint: &str) -> Self {
        Self::new(Exit::Refused, ErrorKind::Refused.as_str(), problem, hint)
    }

    /// The failure with this remedy instead of the library's, which is meant for a program.
    pub(crate) fn with_remedy(self, remedy: impl Into<String>) -> Self {
        let (message, remedy) = (self.message, remedy.into());
        let cause = message.split("; ").next().unwrap_or(&message);
        Self { message: format!("{cause}; {remedy}"), hint: Some(remedy), ..self }
    }

    /// A failure of the operating system. Its text contains no content.
    pub(crate) fn io(problem: &str, error: &io::Error) -> Self {
        let message = format!("{problem}: {error}");
        Self { exit: Exit::Other, kind: "io", outcome: Outcome::NotApplied, message, hint: None }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            exit: error.kind().into(),
            kind: error.kind().as_str(),
            outcome: error.outcome(),
            message: error.to_string(),
            hint: error.hint().map(str::to_owned),
        }
    }
}

impl From<keeper::Error> for Failure {
    fn from(error: keeper::Error) -> Self {
        use keeper::ErrorKind as Kind;
        let storage = error.storage_error();
        let outcome = match error.kind() {
            // Before anything is sent or written.
            Kind::InvalidArgument | Kind::InvalidToken | Kind::TokenMismatch | Kind::Unbound => {
                Outcome::NotApplied
            }
            // The others can follow the first write, which stores a key pair.
            _ => storage.map_or(Outcome::Unknown, Error::outcome),
        };
        Self {
            exit: Exit::from(&error),
            kind: name(error.kind()),
            outcome,
            message: error.to_string(),
            hint: storage.and_then(Error::hint).map(str::to_owned),
        }
    }
}

fn name(kind: keeper::ErrorKind) -> &'static str {
    use keeper::ErrorKind as Kind;
    match kind {
        Kind::AccessDenied => "keeper_access_denied",
        Kind::InvalidArgument => "invalid_argument",
        Kind::InvalidConfig => "invalid_config",
        Kind::InvalidToken => "invalid_token",
        Kind::NotSaved => "not_saved",
        Kind::Panicked => "panicked",
        Kind::Runtime => "runtime",
        Kind::Storage => "storage",
        Kind::Throttled => "keeper_throttled",
        Kind::TokenMismatch => "token_mismatch",
        Kind::TokenSpent => "token_spent",
        Kind::Unbound => "unbound",
        Kind::Unreachable => "keeper_unreachable",
        _ => "keeper",
    }
}
