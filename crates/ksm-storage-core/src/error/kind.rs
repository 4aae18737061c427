#[cfg(doc)]
use crate::Error;

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
    /// The caller's own interrupt ended the wait: see [`Driver::interrupt`](crate::blocking::Driver::interrupt).
    Interrupted,
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
    /// There is no Tokio runtime here, the one that carried out writes has ended, or this process is a fork of the one
    /// that opened the storage. Call from a runtime, use [`blocking::ConfigStorage`](crate::blocking::ConfigStorage), or
    /// [reopen](crate::ConfigStorage::reopen) the storage.
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
            Self::Interrupted => "interrupted",
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

    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::AccessDenied => "access denied",
            Self::Conflict => "conflict",
            Self::Credentials => "no usable credentials",
            Self::Displaced => "version displaced",
            Self::Interrupted => "interrupted",
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
