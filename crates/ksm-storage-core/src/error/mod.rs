mod format;
mod kind;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, error, sync::Arc};

pub use kind::ErrorKind;

use crate::{Absence, Location, Version};

/// The result of an operation on a storage.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The effect of a failed write on the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The store does not contain the change, and never will. On AWS, one case is excepted: someone moves the label back to
    /// an earlier version while a refused request of this write is still in flight.
    NotApplied,
    /// The change may be in the store, or may arrive later; if so, once and in full.
    Unknown,
    /// The store contains the change.
    Applied,
}

impl Outcome {
    /// The outcome's name, for logs, JSON and other languages. It never changes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotApplied => "not_applied",
            Self::Unknown => "unknown",
            Self::Applied => "applied",
        }
    }
}

/// The call that failed with an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// [`ConfigStorage::delete`](crate::ConfigStorage::delete)
    Delete,
    /// [`ConfigStorage::delete_all`](crate::ConfigStorage::delete_all)
    DeleteAll,
    /// [`ConfigStorage::open`](crate::ConfigStorage::open)
    Open,
    /// [`ConfigStorage::open_or_create`](crate::ConfigStorage::open_or_create)
    OpenOrCreate,
    /// [`ConfigStorage::refresh`](crate::ConfigStorage::refresh)
    Refresh,
    /// [`ConfigStorage::replace`](crate::ConfigStorage::replace)
    Replace,
    /// [`ConfigStorage::save`](crate::ConfigStorage::save)
    Save,
    /// [`ConfigStorage::set`](crate::ConfigStorage::set)
    Set,
    /// [`ConfigStorage::update`](crate::ConfigStorage::update)
    Update,
}

impl Operation {
    /// The method's name, for logs, JSON and other languages. It never changes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::DeleteAll => "delete_all",
            Self::Open => "open",
            Self::OpenOrCreate => "open_or_create",
            Self::Refresh => "refresh",
            Self::Replace => "replace",
            Self::Save => "save",
            Self::Set => "set",
            Self::Update => "update",
        }
    }

    pub(crate) const fn writes(self) -> bool {
        !matches!(self, Self::Open | Self::Refresh)
    }
}

/// The cause of a failed operation, and the outcome of its write.
///
/// `Display` is one line for a log: operation, location, cause, outcome of the write, and a remedy where one is known.
/// `Debug`, which a program prints if its `main` returns the error, adds the sources to that line; `{:#?}` lists the
/// fields. No format ever shows a configuration value, a credential or a service's raw reply: sources are shown by
/// their `Display`.
///
/// ```
/// use ksm_storage_core::{Error, ErrorKind, Outcome};
///
/// let error = Error::new(ErrorKind::AccessDenied, "the role may not read this secret")
///     .with_outcome(Outcome::NotApplied)
///     .with_hint("grant secretsmanager:GetSecretValue");
/// assert!(!error.is_retryable());
/// assert_eq!(
///     error.to_string(),
///     "access denied: the role may not read this secret; grant secretsmanager:GetSecretValue"
/// );
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    outcome: Outcome,
    operation: Option<Operation>,
    location: Option<Location>,
    message: Cow<'static, str>,
    hint: Option<Cow<'static, str>>,
    displaced: Option<Version>,
    source: Option<Arc<dyn error::Error + Send + Sync>>,
}

impl Error {
    /// An error whose [`outcome`](Self::outcome) is [`Outcome::Unknown`] unless set; see
    /// [`not_applied`](Self::not_applied).
    ///
    /// The message must contain no configuration value, no credential and nothing from a service's reply.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            outcome: Outcome::Unknown,
            operation: None,
            location: None,
            message: message.into(),
            hint: None,
            displaced: None,
            source: None,
        }))
    }

    /// An error of a call that certainly changed nothing and never will.
    ///
    /// The message is subject to the same rule as that of [`new`](Self::new).
    pub fn not_applied(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(kind, message).with_outcome(Outcome::NotApplied)
    }

    /// The error of a call that needs a Tokio runtime, on a thread without one.
    pub fn no_runtime() -> Self {
        Self::not_applied(ErrorKind::Runtime, "no Tokio runtime on this thread")
            .with_hint("call it within one, or use blocking::ConfigStorage")
    }

    /// An error by which a change declines to be stored; see [`ConfigStorage::update`](crate::ConfigStorage::update).
    pub fn refused(message: impl Into<Cow<'static, str>>) -> Self {
        Self::not_applied(ErrorKind::Refused, message)
    }

    /// Sets the outcome of the write. Claim [`Outcome::NotApplied`] only if it is certain.
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.0.outcome = outcome;
        self
    }

    /// Adds the remedy, as a clause without a full stop.
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Sets the location.
    pub fn with_location(mut self, location: Location) -> Self {
        self.0.location = Some(location);
        self
    }

    /// Adds the cause. Its `Display` is shown, so the rule for messages applies to it; its `Debug` is not shown.
    pub fn with_source(mut self, source: impl error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// Adds the failure of the last replica to the message of its store's failure.
    pub(crate) fn and_of_replica(mut self, kind: ErrorKind, replica: Option<Location>) -> Self {
        let replica =
            replica.map_or_else(|| "a replica".to_owned(), |location| format!("the replica {location}"));
        self.0.message = format!("{}; {replica} failed too: {}", self.0.message, kind.describe()).into();
        self
    }

    pub(crate) fn with_displaced(mut self, version: Version) -> Self {
        self.0.displaced = Some(version);
        self
    }

    /// Sets the operation and, unless the backend has set a more specific one, the location. The last step of every
    /// call.
    ///
    /// A read changes nothing, so its outcome is overwritten.
    pub(crate) fn decorate(mut self, operation: Operation, location: Option<Location>) -> Self {
        self.0.location = self.0.location.take().or(location);
        self.0.operation = Some(operation);
        if !operation.writes() {
            self.0.outcome = Outcome::NotApplied;
        }
        self
    }

    /// The category of the error, which decides what the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The outcome of the write. Reads change nothing, so theirs is [`Outcome::NotApplied`].
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// The call that failed, if it was a call on a storage.
    pub fn operation(&self) -> Option<Operation> {
        self.0.operation
    }

    /// The location of the configuration that the call accessed.
    pub fn location(&self) -> Option<&Location> {
        self.0.location.as_ref()
    }

    /// The remedy, if there is one, as shown at the end of the message. It has several lines only if its author wrote
    /// several.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The version that was displaced; only with [`ErrorKind::Displaced`].
    pub fn displaced(&self) -> Option<&Version> {
        self.0.displaced.as_ref()
    }

    /// Returns true if the same call may succeed later with nothing else changed, and false for a
    /// [`save`](crate::ConfigStorage::save) that ended in a conflict: its base stays outdated.
    ///
    /// Check the [`outcome`](Self::outcome) first: after [`Outcome::Unknown`], repeating a change may apply it twice.
    pub fn is_retryable(&self) -> bool {
        match self.0.kind {
            ErrorKind::Conflict => self.0.operation != Some(Operation::Save),
            kind => matches!(kind, ErrorKind::Throttled | ErrorKind::Timeout | ErrorKind::Unavailable),
        }
    }
}

impl From<Absence> for Error {
    fn from(absence: Absence) -> Self {
        let error = Self::not_applied(ErrorKind::NotFound, absence.to_string());
        match absence.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
