mod format;
mod kind;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, error, sync::Arc};

pub use kind::ErrorKind;

use crate::{Absence, Location, Version};

/// The result of an operation on a storage.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The fate of the write that an [`Error`] reports on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The store is without the change, and stays so.
    NotApplied,
    /// The change may be in the store, or get there later; if so, once and whole.
    Unknown,
    /// The change is in the store.
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

/// The call that an [`Error`] comes from.
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

/// Why an operation failed, and what became of the write.
///
/// `Display` is one line for a log: operation, location, cause, what became of the write, and what to do where
/// that is known. `Debug` is the same line with the sources, which is what a program prints whose `main` returns the
/// error; `{:#?}` lists the fields. None of them ever shows a configuration value, a credential or a raw reply of a
/// service: sources are shown by their `Display`.
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
    /// An error whose [`outcome`](Self::outcome) is [`Outcome::Unknown`] until said otherwise; see
    /// [`not_applied`](Self::not_applied).
    ///
    /// The message must hold no configuration value, no credential and nothing that a service replied.
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

    /// An error of a call that is certain to have changed nothing, now or later.
    ///
    /// The message must be as clean as that of [`new`](Self::new).
    pub fn not_applied(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(kind, message).with_outcome(Outcome::NotApplied)
    }

    /// The error with which a change refuses to be stored; see [`ConfigStorage::update`](crate::ConfigStorage::update).
    pub fn refused(message: impl Into<Cow<'static, str>>) -> Self {
        Self::not_applied(ErrorKind::Refused, message)
    }

    /// States what became of the write. Claim [`Outcome::NotApplied`] only where it is certain.
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.0.outcome = outcome;
        self
    }

    /// Adds what to do about it, as a clause without a full stop.
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Names the place.
    pub fn with_location(mut self, location: Location) -> Self {
        self.0.location = Some(location);
        self
    }

    /// Adds the cause. Its `Display` is shown, so it must be as clean as the message; its `Debug` is not.
    pub fn with_source(mut self, source: impl error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    pub(crate) fn with_displaced(mut self, version: Version) -> Self {
        self.0.displaced = Some(version);
        self
    }

    /// Names the call and, unless the backend has named a better one, the place: the last step of every call.
    ///
    /// A read changes nothing, whatever its error said.
    pub(crate) fn decorate(mut self, operation: Operation, location: Option<Location>) -> Self {
        self.0.location = self.0.location.take().or(location);
        self.0.operation = Some(operation);
        if !operation.writes() {
            self.0.outcome = Outcome::NotApplied;
        }
        self
    }

    /// The category of an error, by what the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The fate of the write. Reads change nothing, so theirs is [`Outcome::NotApplied`].
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// The call that failed, where it was one on a storage.
    pub fn operation(&self) -> Option<Operation> {
        self.0.operation
    }

    /// The place that the call was about.
    pub fn location(&self) -> Option<&Location> {
        self.0.location.as_ref()
    }

    /// The remedy, where there is one, as it stands at the end of the message. It may have several lines if its author
    /// wrote some.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The version that was displaced; only with [`ErrorKind::Displaced`].
    pub fn displaced(&self) -> Option<&Version> {
        self.0.displaced.as_ref()
    }

    /// True if the same call may succeed later with nothing else changed. A [`save`](crate::ConfigStorage::save) that
    /// ended in a conflict may not: its base stays out of date.
    ///
    /// Mind the [`outcome`](Self::outcome): after [`Outcome::Unknown`] a repeated change may be a second one.
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
