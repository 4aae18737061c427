//! The failure of a command.

use std::{borrow::Cow, io};

use ksm_storage::{Error, ErrorKind, Location, Outcome, keeper};

use crate::{exit::Exit, storage::Setting};

/// The printable part of a failure, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) kind: &'static str,
    pub(crate) outcome: Outcome,
    /// True if this is the failure of an operation on the storage. Others write nothing to it.
    pub(crate) is_of_storage: bool,
    /// Everything but the remedy.
    pub(crate) cause: String,
    /// The remedy.
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
        let (cause, outcome) = (problem.into().into_owned(), Outcome::NotApplied);
        Self { exit, kind, outcome, is_of_storage: false, cause, hint: Some(hint.to_owned()) }
    }

    pub(crate) fn usage(problem: impl Into<Cow<'static, str>>, hint: &str) -> Self {
        Self::new(Exit::Usage, ErrorKind::InvalidArgument.as_str(), problem, hint)
    }

    pub(crate) fn refused(problem: impl Into<Cow<'static, str>>, hint: &str) -> Self {
        Self::new(Exit::Refused, ErrorKind::Refused.as_str(), problem, hint)
    }

    /// The failure with this remedy instead of the library's, which is meant for a program.
    pub(crate) fn with_remedy(self, remedy: impl Into<String>) -> Self {
        Self { hint: Some(remedy.into()), ..self }
    }

    /// The failure with a further remedy.
    pub(crate) fn and_remedy(mut self, remedy: &str) -> Self {
        self.hint = Some(self.hint.map_or_else(|| remedy.to_owned(), |hint| format!("{hint}; {remedy}")));
        self
    }

    /// The failure of a value that was found in this option or variable.
    pub(crate) fn of_setting(self, origin: &str) -> Self {
        Self { cause: format!("{} (from {origin})", self.cause), ..self }
    }

    /// The failure, whose cause is in `context`: a file, a version.
    pub(crate) fn within(self, context: &str) -> Self {
        Self { cause: format!("{context}: {}", self.cause), ..self }
    }

    /// The failure of a write by a backend.
    pub(crate) fn of_write(error: Error, location: &Location) -> Self {
        Self { is_of_storage: true, ..Self::from(error.with_location(location.clone())) }
    }

    /// The failure after a write that took effect.
    pub(crate) fn after_write(self, context: &str) -> Self {
        Self { outcome: Outcome::Applied, ..self.within(context) }
    }

    /// True if it is not known whether a write took effect.
    pub(crate) fn is_unsure(&self) -> bool {
        self.is_of_storage && self.outcome == Outcome::Unknown
    }

    /// Adds how to find out whether the write to this storage took effect.
    pub(crate) fn look_first(self, written: &Setting) -> Self {
        let look = format!("see first whether it took effect: {}", written.look());
        let hint = self.hint.as_ref().map_or_else(|| look.clone(), |hint| format!("{look}; {hint}"));
        self.with_remedy(hint)
    }

    /// The whole line, with the remedy at its end.
    pub(crate) fn message(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}; {hint}", self.cause),
            None => self.cause.clone(),
        }
    }

    /// A failure of the operating system. Its text contains no content.
    pub(crate) fn io(problem: &str, error: &io::Error) -> Self {
        let cause = format!("{problem}: {error}");
        Self {
            exit: Exit::Other,
            kind: "io",
            outcome: Outcome::NotApplied,
            is_of_storage: false,
            cause,
            hint: None,
        }
    }
}

/// The message of a library's error in two parts: cause and remedy.
fn split(message: String, hint: Option<&str>) -> (String, Option<String>) {
    let cause = hint.and_then(|hint| message.strip_suffix(hint)?.strip_suffix("; "));
    match (cause, hint) {
        (Some(cause), Some(hint)) => (cause.to_owned(), Some(hint.to_owned())),
        _ => (message, None),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (cause, hint) = split(error.to_string(), error.hint());
        let (kind, outcome) = (error.kind(), error.outcome());
        let is_of_storage = error.operation().is_some();
        Self { exit: kind.into(), kind: kind.as_str(), outcome, is_of_storage, cause, hint }
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
        let (cause, hint) = split(error.to_string(), error.hint());
        let is_of_storage = storage.is_some();
        Self { exit: Exit::from(&error), kind: name(error.kind()), outcome, is_of_storage, cause, hint }
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

#[cfg(test)]
mod tests {
    use ksm_storage::Location;

    use super::*;

    /// A path or a cause may contain what separates cause and remedy.
    #[test]
    fn remedy_replaces_nothing_but_remedy() {
        let error = Error::not_applied(ErrorKind::NotFound, "no file; no folder either")
            .with_location(Location::opaque("file", "/a; b/ksm.json"))
            .with_hint("create it; or not");
        let failure = Failure::from(error);
        assert_eq!(failure.hint.as_deref(), Some("create it; or not"));
        let message = failure.with_remedy("do this").message();
        assert!(message.ends_with("/ksm.json: not found: no file; no folder either; do this"), "{message}");
        let unknown = Error::new(ErrorKind::Timeout, "late").with_hint("check the network");
        let shown = |url: &str| {
            let failure = Failure::of_write(unknown.clone(), &Location::opaque("file", "a b"));
            assert!(failure.is_unsure());
            failure.look_first(&Setting::new(url, "--storage")).message()
        };
        let looked = shown("aws-sm:a?profile=b");
        let look =
            "; see first whether it took effect: `ksm-storage history --storage 'aws-sm:a?profile=b'`; check";
        assert!(looked.contains(look), "{looked}");
        assert!(shown("file:a b").contains("`ksm-storage status --storage 'file:a b'`; check the network"));
        for error in [unknown.clone(), unknown.with_outcome(Outcome::Applied)] {
            assert!(!Failure::from(error).is_unsure());
        }
        let none = Failure::from(Error::refused("no; never")).with_remedy("do this").message();
        assert_eq!(none, "refused: no; never; do this");
    }
}
