use std::{borrow::Cow, error, fmt, sync::Arc};

use crate::{Absence, Location, Version};

/// The result of an operation on a storage.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The category of an error, by what the caller can do about it.
///
/// ```
/// use ksm_storage_core::{ConfigStorage, ErrorKind};
/// # use ksm_storage_memory::MemoryBackend;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let backend = MemoryBackend::new();
/// let error = ConfigStorage::open(backend).await.unwrap_err();
/// let advice = match error.kind() {
///     ErrorKind::NotFound => "create it",
///     _ if error.is_retryable() => "try again later",
///     _ => "see the message",
/// };
/// assert_eq!(advice, "create it");
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store knows who asks and says no. Grant the permission that the message names.
    AccessDenied,
    /// Other writers were faster, on every attempt allowed, or a [`save`](crate::ConfigStorage::save) was based
    /// on a snapshot that is no longer current. Nothing was written: read again, then decide.
    Conflict,
    /// No usable credentials, or expired ones. Nothing was sent in the caller's name: fix the credentials.
    Credentials,
    /// The write was made, but a version was displaced that it was not based on: one of a foreign writer, or one of this
    /// project that a foreign write or a rollback had cut off. [`Error::displaced`] names it; look at it, and apply again
    /// by hand what must not be lost.
    Displaced,
    /// The call can never work as it stands: a malformed name, contradicting options, a write from inside a
    /// change. Correct the program or its settings.
    InvalidArgument,
    /// The stored value is no configuration document. Look at it: a person or a program has put
    /// something else there.
    InvalidConfig,
    /// The store, or a value in it, does not exist. Create it, or correct its name.
    NotFound,
    /// The store accepts no further write for hours or days, or until somebody makes room. Write less often, or make room.
    QuotaExceeded,
    /// The storage was opened read-only, or its backend never writes.
    ReadOnly,
    /// The caller's own change refused to be stored: see [`Error::refused`].
    Refused,
    /// There is no Tokio runtime here, or the one that carried out writes has ended. Call from a runtime, or use
    /// [`blocking::ConfigStorage`](crate::blocking::ConfigStorage).
    Runtime,
    /// The store asks to slow down. Try again later.
    Throttled,
    /// The deadline passed. Try again, or allow more time.
    Timeout,
    /// The document is larger than the store accepts. Remove something from it.
    TooLarge,
    /// The store cannot be reached, or fails. Try again later.
    Unavailable,
    /// The store answered in a way that its interface does not allow. A defect, there or here.
    Unexpected,
    /// The backend cannot do this by its nature, such as a safe write on one without conditional writes.
    Unsupported,
}

impl ErrorKind {
    /// The kind's name, for logs, JSON and other languages. It never changes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::Conflict => "conflict",
            Self::Credentials => "credentials",
            Self::Displaced => "displaced",
            Self::InvalidArgument => "invalid_argument",
            Self::InvalidConfig => "invalid_config",
            Self::NotFound => "not_found",
            Self::QuotaExceeded => "quota_exceeded",
            Self::ReadOnly => "read_only",
            Self::Refused => "refused",
            Self::Runtime => "runtime",
            Self::Throttled => "throttled",
            Self::Timeout => "timeout",
            Self::TooLarge => "too_large",
            Self::Unavailable => "unavailable",
            Self::Unexpected => "unexpected",
            Self::Unsupported => "unsupported",
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::AccessDenied => "access denied",
            Self::Conflict => "conflict",
            Self::Credentials => "no usable credentials",
            Self::Displaced => "version displaced",
            Self::InvalidArgument => "invalid argument",
            Self::InvalidConfig => "invalid configuration document",
            Self::NotFound => "not found",
            Self::QuotaExceeded => "quota exceeded",
            Self::ReadOnly => "read-only",
            Self::Refused => "refused",
            Self::Runtime => "no runtime",
            Self::Throttled => "throttled",
            Self::Timeout => "timed out",
            Self::TooLarge => "too large",
            Self::Unavailable => "unavailable",
            Self::Unexpected => "unexpected answer",
            Self::Unsupported => "unsupported",
        }
    }
}

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
/// that is known. Neither it nor `Debug` ever shows a configuration value, a credential or a raw reply of a
/// service; `Debug` shows the sources by their `Display`, for the same reason.
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

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        match (inner.operation, &inner.location) {
            (Some(operation), Some(location)) => write!(f, "{} on {location}: ", operation.as_str())?,
            (Some(operation), None) => write!(f, "{}: ", operation.as_str())?,
            (None, Some(location)) => write!(f, "{location}: ")?,
            (None, None) => {}
        }
        write!(f, "{}: {}", inner.kind.describe(), inner.message)?;
        if inner.operation.is_some_and(Operation::writes) {
            f.write_str(match inner.outcome {
                Outcome::NotApplied => "; nothing was written",
                Outcome::Unknown => "; whether the write took effect is not known",
                Outcome::Applied => "; the write took effect",
            })?;
        }
        match &inner.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sources = Vec::new();
        let mut next = error::Error::source(self);
        while let Some(source) = next {
            sources.push(source.to_string());
            next = source.source();
        }
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("outcome", &self.0.outcome)
            .field("message", &self.to_string())
            .field("sources", &sources)
            .finish()
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
