#[cfg(doc)]
use crate::Error;

/// The category of an error, which decides what the caller can do about it.
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
    /// The store rejects an authenticated caller. Grant the permission that the message names.
    AccessDenied,
    /// Other writers won on every attempt allowed, or a [`save`](crate::ConfigStorage::save) was based on an outdated
    /// snapshot. Nothing was written: read again, then decide.
    Conflict,
    /// Credentials are missing, unusable or expired. Nothing was sent on the caller's behalf: fix the credentials.
    Credentials,
    /// The write was made, but it displaced a version that it was not based on: a foreign writer's, or one of this
    /// project that a foreign write or a rollback had separated from the base. [`Error::displaced`] names that version;
    /// inspect it, and reapply by hand whatever must not be lost.
    Displaced,
    /// The caller's interrupt ended the wait: see [`Driver::interrupt`](crate::blocking::Driver::interrupt).
    Interrupted,
    /// The call cannot work as written: a malformed name, contradictory options, a write from inside a change. Correct
    /// the program or its settings.
    InvalidArgument,
    /// The stored value is not a configuration document. Inspect it: something else was put there.
    InvalidConfig,
    /// The store, or a value in it, does not exist. Create it, or correct its name.
    NotFound,
    /// The store accepts no further writes for hours or days, or until space is freed. Write less often, or free space.
    QuotaExceeded,
    /// The storage was opened read-only, or its backend never writes.
    ReadOnly,
    /// The caller's own change declined to be stored: see [`Error::refused`].
    Refused,
    /// There is no Tokio runtime on this thread, the runtime that carried out writes has ended, or this process is a
    /// fork of the one that opened the storage. Call from a runtime, use
    /// [`blocking::ConfigStorage`](crate::blocking::ConfigStorage), or [reopen](crate::ConfigStorage::reopen) the
    /// storage.
    Runtime,
    /// The store asks the client to slow down. Try again later.
    Throttled,
    /// The deadline passed. Try again, or allow more time.
    Timeout,
    /// The document is larger than the store accepts. Remove something from it.
    TooLarge,
    /// The store cannot be reached, or fails. Try again later.
    Unavailable,
    /// The store sent a reply that its interface does not allow. A bug, in the store or here.
    Unexpected,
    /// The backend cannot do this by design, such as a safe write without conditional writes.
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
            Self::Unexpected => "unexpected reply",
            Self::Unsupported => "unsupported",
        }
    }
}
