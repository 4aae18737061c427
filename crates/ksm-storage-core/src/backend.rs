use std::{borrow::Cow, fmt, sync::Arc};

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::{Error, ErrorKind, Result, text::write_line};

/// Where a configuration lives: the kind of backend and the address within it. Never a secret.
///
/// ```
/// use ksm_storage_core::Location;
///
/// assert_eq!(Location::new("aws-sm", "us-east-1/ksm-config").to_string(), "aws-sm://us-east-1/ksm-config");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    kind: &'static str,
    address: Arc<str>,
}

impl Location {
    /// `kind` is the backend's name, such as `memory`; `address` is what tells two stores of that kind apart.
    pub fn new(kind: &'static str, address: impl Into<Arc<str>>) -> Self {
        Self { kind, address: address.into() }
    }

    /// The backend's name.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The identity of this store among those of its kind.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.kind)?;
        write_line(f, &self.address)
    }
}

/// The name of one store event.
///
/// A version is opaque. It is compared only with versions from the same backend instance or its clones, it is
/// never the name of two store events, and it does not come back when equal content does. It is no secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Version(Arc<str>);

impl Version {
    /// The version that the store calls `name`.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The store's name for it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// On one line: another program may have chosen a name with line breaks.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = String::new();
        write_line(&mut line, &self.0)?;
        f.pad(&line)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({self})")
    }
}

/// The bytes of a stored document: shared when cloned, zeroized when the last clone is dropped.
///
/// ```
/// use ksm_storage_core::Payload;
///
/// let payload = Payload::from("{}");
/// assert_eq!(payload.as_bytes(), b"{}");
/// assert_eq!(format!("{payload:?}"), "Payload(2 bytes)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Arc<Zeroizing<Vec<u8>>>);

impl Payload {
    /// The bytes. They are secret.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if there is no byte at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Self::from(text.into_bytes())
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes().to_vec())
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.len())
    }
}

/// Result of a load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// A document is stored.
    Present {
        /// The store event that put it there.
        version: Version,
        /// The stored bytes.
        payload: Payload,
    },
    /// Nothing is stored: a store on this version creates it.
    Absent {
        /// The fact that nothing is there.
        version: Version,
        /// The backend's account of it, for the user.
        absence: Absence,
    },
}

impl Stored {
    /// A stored document.
    pub fn present(version: Version, payload: impl Into<Payload>) -> Self {
        Self::Present { version, payload: payload.into() }
    }

    /// Nothing, which `version` stands for.
    pub fn absent(version: Version, absence: impl Into<Absence>) -> Self {
        Self::Absent { version, absence: absence.into() }
    }

    /// The version that a [`store`](StorageBackend::store) may be based on.
    pub fn version(&self) -> &Version {
        match self {
            Self::Present { version, .. } | Self::Absent { version, .. } => version,
        }
    }

    /// The stored bytes, if there are any.
    pub fn payload(&self) -> Option<&Payload> {
        match self {
            Self::Present { payload, .. } => Some(payload),
            Self::Absent { .. } => None,
        }
    }
}

/// A backend's account of the fact that nothing is stored.
///
/// The backend knows best what is missing and how to create it, and core passes that on unchanged, as an error of
/// the kind [`NotFound`](crate::ErrorKind::NotFound). A load that timed out or was refused is an error of its own,
/// never an absence.
///
/// ```
/// use ksm_storage_core::Absence;
///
/// let absence = Absence::new("no such secret")
///     .with_code("ResourceNotFoundException")
///     .with_request_id("7d1a")
///     .with_hint("create it");
/// assert_eq!(absence.to_string(), "no such secret (ResourceNotFoundException, request 7d1a)");
/// assert_eq!(absence.hint(), Some("create it"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absence {
    message: Cow<'static, str>,
    hint: Option<Cow<'static, str>>,
    code: Option<Cow<'static, str>>,
    request_id: Option<Cow<'static, str>>,
}

impl Absence {
    /// An absence in the backend's words, which must hold no secret.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), hint: None, code: None, request_id: None }
    }

    /// Adds the remedy, as a clause without a full stop.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the service's error code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Adds the service's ID of the request, for its support.
    #[must_use]
    pub fn with_request_id(mut self, id: impl Into<Cow<'static, str>>) -> Self {
        self.request_id = Some(id.into());
        self
    }

    /// The message alone.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The remedy.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The service's error code.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The service's ID of the request.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }
}

impl From<&'static str> for Absence {
    fn from(message: &'static str) -> Self {
        Self::new(message)
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

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match (&self.code, &self.request_id) {
            (Some(code), Some(id)) => write!(f, " ({code}, request {id})"),
            (Some(code), None) => write!(f, " ({code})"),
            (None, Some(id)) => write!(f, " (request {id})"),
            (None, None) => Ok(()),
        }
    }
}

/// The result of a [`store`](StorageBackend::store).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOutcome {
    /// The payload is stored, and a load that starts now sees it (or will, where reads are not fresh).
    Committed {
        /// The store event just made.
        version: Version,
        /// The backend's findings about foreign writers.
        displaced: Displaced,
    },
    /// Something else than the expected version is stored. Nothing was changed.
    Conflict {
        /// The stored version, if the backend had to read it to know: the caller need not read it again.
        current: Option<Stored>,
        /// Versions that would prove the opposite: if one of them is current later, this store has taken effect after
        /// all. They matter where a network can deliver a request late and twice; elsewhere there are none.
        applied_if: Vec<Version>,
    },
}

impl StoreOutcome {
    /// A commit that displaced nothing.
    pub fn committed(version: Version) -> Self {
        Self::Committed { version, displaced: Displaced::Nothing }
    }

    /// A conflict with `current`, of a store that will never take effect.
    pub fn conflict(current: impl Into<Option<Stored>>) -> Self {
        Self::Conflict { current: current.into(), applied_if: Vec::new() }
    }
}

/// The version that a commit displaced: one that was current, and that the commit was not based on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Displaced {
    /// None. With [`Writes::Exact`] always.
    Nothing,
    /// The check was refused, failed, or could not decide. The write is good all the same: a warning is logged, and
    /// [`Snapshot::verification`](crate::Snapshot::verification) tells.
    Unverified,
    /// One of a writer of this project, which a foreign write or a rollback had cut off from the commit's base.
    Cooperative {
        /// The version that is no longer current.
        version: Version,
        /// A command that shows its content to an operator, where there is one.
        inspect: Option<String>,
    },
    /// One of a foreign writer: stored between the load and the store, or displaced by a writer that was killed before it
    /// could tell.
    Foreign {
        /// The version that is no longer current.
        version: Version,
        /// A command that shows its content to an operator, where there is one.
        inspect: Option<String>,
    },
}

/// The guarantee of a backend for its writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Writes {
    /// A store excludes every other writer of the store, whatever program that is.
    Exact,
    /// A store excludes all writers of this project, and reports a foreign one that it displaced.
    Cooperative,
    /// The store offers no condition: the last writer wins. Core refuses to write.
    Unconditional,
    /// The backend never writes. Core refuses to.
    ReadOnly,
}

/// The abilities of a backend; constant, so that core can refuse before any I/O.
///
/// ```
/// use ksm_storage_core::{Capabilities, Writes};
///
/// let capabilities = Capabilities::new(Writes::Exact).max_payload(65_536);
/// assert!(capabilities.fresh_reads);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The guarantee of a store.
    pub writes: Writes,
    /// The largest payload accepted, in bytes.
    pub max_payload: Option<usize>,
    /// True if a load sees every store acknowledged before it began. If not, it may lag for a while.
    pub fresh_reads: bool,
}

impl Capabilities {
    /// Payloads of any size and fresh reads, until said otherwise.
    pub const fn new(writes: Writes) -> Self {
        Self { writes, max_payload: None, fresh_reads: true }
    }

    /// The largest payload accepted, in bytes.
    pub const fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = Some(bytes);
        self
    }

    /// Declares that a load may for a while return a version older than the current one.
    pub const fn stale_reads(mut self) -> Self {
        self.fresh_reads = false;
        self
    }
}

/// One store of one configuration document: what a backend implements.
///
/// There are three operations: `load`, `confirm` and `store`; none has a default body. All that is hard
/// (queueing, retrying, merging, deadlines) is done once, by [`ConfigStorage`](crate::ConfigStorage).
///
/// # Contract
/// - **Conditional.** Of all [`store`](Self::store) calls with one `expected` version at most one is answered
///   [`Committed`](StoreOutcome::Committed), *also if their payloads are equal*, whichever handle, process or host
///   they come from. Where the backend cannot promise this, [`Capabilities::writes`] says so.
/// - **Whole.** A load returns a stored payload byte for byte (a backend may add and remove framing of its own),
///   never a part of one, and never a mixture.
/// - **Honest.** `Committed` means that the store has acknowledged it. An error claims
///   [`Outcome::NotApplied`](crate::Outcome::NotApplied) only if the payload is not stored and will not be. A store
///   that cannot be read, or that holds what the backend cannot frame, is an error: never
///   [`Absent`](Stored::Absent), and never an empty document.
/// - **Nothing by itself.** A load never creates anything. A store creates only on the version of a load that
///   found [`Absent`](Stored::Absent).
/// - **Droppable.** All futures may be dropped at any `await`. A dropped store takes effect once or never,
///   possibly later, and never half.
/// - **Bounded.** All end by themselves in a time that suits the store. Transport errors are retried by the
///   backend, not by core; a conflict is never retried by the backend.
/// - **Secret.** No error, `Debug`, log event or panic holds a byte of a payload.
///
/// The crate `ksm-storage-testkit` checks all of this for any implementation.
///
/// ```
/// use async_trait::async_trait;
/// use ksm_storage_core::{
///     BindState, Capabilities, ConfigStorage, ErrorKind, Location, Payload, Result, StorageBackend, StoreOutcome,
///     Stored, Version, Writes,
/// };
///
/// /// A configuration that is part of the program.
/// #[derive(Debug)]
/// struct BuiltIn(&'static str);
///
/// #[async_trait]
/// impl StorageBackend for BuiltIn {
///     fn location(&self) -> Location {
///         Location::new("built-in", "")
///     }
///     fn capabilities(&self) -> Capabilities {
///         Capabilities::new(Writes::ReadOnly)
///     }
///     async fn load(&self) -> Result<Stored> {
///         Ok(Stored::present(Version::new("1"), self.0))
///     }
///     async fn confirm(&self, _: &Version) -> Result<bool> {
///         Ok(true)
///     }
///     async fn store(&self, _: &Version, _: &Payload) -> Result<StoreOutcome> {
///         unreachable!("core refuses to write on what is read-only")
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let storage = ConfigStorage::open(BuiltIn("{}")).await?;
/// assert_eq!(storage.bind_state(), BindState::Empty);
/// assert_eq!(storage.delete_all().await.unwrap_err().kind(), ErrorKind::ReadOnly);
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait StorageBackend: fmt::Debug + Send + Sync + 'static {
    /// Where the document lives.
    fn location(&self) -> Location;

    /// The abilities of this backend. Constant, without I/O.
    fn capabilities(&self) -> Capabilities;

    /// Reads what is stored.
    ///
    /// # Errors
    /// Of the kind that tells the caller what to do, such as [`AccessDenied`](crate::ErrorKind::AccessDenied). Nothing
    /// stored is no error but [`Stored::Absent`].
    async fn load(&self) -> Result<Stored>;

    /// Reads by another route than [`load`](Self::load) does, and tells whether `version`, which a load returned, is
    /// current.
    ///
    /// Core asks when a load returns an earlier version than it has seen: only a confirmed one is a rollback, any other
    /// a stale read. A backend whose reads are fresh may answer `true` without reading.
    ///
    /// # Errors
    /// As those of [`load`](Self::load). A version that does not exist any more is no error but not current.
    async fn confirm(&self, version: &Version) -> Result<bool>;

    /// Stores `payload` if `expected` is still the current version.
    ///
    /// # Errors
    /// With the [`outcome`](crate::Error::outcome) that is certain, else `Unknown`. A version that has moved on is
    /// not an error but [`StoreOutcome::Conflict`].
    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome>;
}

macro_rules! forward {
    ($($pointer:ident),*) => {$(
        #[async_trait]
        impl<B: StorageBackend + ?Sized> StorageBackend for $pointer<B> {
            fn location(&self) -> Location {
                (**self).location()
            }

            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }

            async fn load(&self) -> Result<Stored> {
                (**self).load().await
            }

            async fn confirm(&self, version: &Version) -> Result<bool> {
                (**self).confirm(version).await
            }

            async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
                (**self).store(expected, payload).await
            }
        }
    )*};
}

forward!(Arc, Box);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;

    #[test]
    fn a_place_and_a_version_are_shown_as_they_are_named() {
        let location = Location::new("memory", "7");
        assert_eq!((location.kind(), location.address()), ("memory", "7"));
        assert_eq!(location.to_string(), "memory://7");
        let version = Version::new("v7");
        assert_eq!((version.as_str(), version.to_string()), ("v7", "v7".to_owned()));
        assert_eq!(format!("{version:>4}|{version:?}"), "  v7|Version(v7)");
    }

    #[test]
    fn absence_becomes_the_error_unchanged() {
        let absence = Absence::new("no such secret").with_hint("create it");
        for (absence, message) in [
            (absence.clone(), "no such secret"),
            (absence.clone().with_code("Gone"), "no such secret (Gone)"),
            (absence.clone().with_request_id("7"), "no such secret (request 7)"),
            (absence.with_code("Gone").with_request_id("7"), "no such secret (Gone, request 7)"),
        ] {
            let error = Error::from(absence);
            assert_eq!((error.kind(), error.outcome()), (ErrorKind::NotFound, Outcome::NotApplied));
            assert_eq!(error.to_string(), format!("not found: {message}; create it"));
        }
    }

    #[test]
    fn a_payload_is_its_bytes_and_shows_only_how_many() {
        for payload in [Payload::from("secret"), "secret".to_owned().into(), b"secret".to_vec().into()] {
            assert_eq!(payload.as_bytes(), b"secret");
            assert_eq!((payload.len(), payload.is_empty()), (6, false));
            assert_eq!(format!("{payload:?}"), "Payload(6 bytes)");
        }
        assert_eq!((Payload::from("").len(), Payload::from("").is_empty()), (0, true));
    }
}
