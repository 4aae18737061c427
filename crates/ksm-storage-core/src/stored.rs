use std::{borrow::Cow, fmt, sync::Arc};

use zeroize::Zeroizing;

use crate::text::write_line;

/// The identity of one store event.
///
/// A version is opaque. Compare it only with versions from the same backend instance or its clones. It never identifies
/// two store events, and it is not reused when equal content is stored again. It is not secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Version(Arc<str>);

impl Version {
    /// Creates a version from the store's `name` for it.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The store's name for this version.
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

/// The bytes of a stored document. Clones share them; they are zeroized when the last clone is dropped.
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

    /// Returns true if there are no bytes.
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
    /// Nothing is stored. A store on this version creates the document.
    Absent {
        /// The version that stands for absence.
        version: Version,
        /// The backend's explanation, for the user.
        absence: Absence,
    },
}

impl Stored {
    /// A stored document.
    pub fn present(version: Version, payload: impl Into<Payload>) -> Self {
        Self::Present { version, payload: payload.into() }
    }

    /// Nothing stored, with the version that stands for absence.
    pub fn absent(version: Version, absence: impl Into<Absence>) -> Self {
        Self::Absent { version, absence: absence.into() }
    }

    /// The version to base a [`store`](crate::StorageBackend::store) on.
    pub fn version(&self) -> &Version {
        match self {
            Self::Present { version, .. } | Self::Absent { version, .. } => version,
        }
    }

    /// The stored bytes, if any.
    pub fn payload(&self) -> Option<&Payload> {
        match self {
            Self::Present { payload, .. } => Some(payload),
            Self::Absent { .. } => None,
        }
    }
}

/// A backend's explanation of why nothing is stored.
///
/// The backend knows best what is missing and how to create it. Core passes this on unchanged, as an error of the kind
/// [`NotFound`](crate::ErrorKind::NotFound). A load that timed out or was refused is an error, never an absence.
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
    pub(crate) hint: Option<Cow<'static, str>>,
    code: Option<Cow<'static, str>>,
    request_id: Option<Cow<'static, str>>,
}

impl Absence {
    /// An absence described by the backend. The message must contain no secret.
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

    /// Adds the service's request ID, to quote to its support.
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

    /// The service's request ID.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }
}

impl From<&'static str> for Absence {
    fn from(message: &'static str) -> Self {
        Self::new(message)
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

/// Result of a [`store`](crate::StorageBackend::store).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOutcome {
    /// The payload is stored, and a load that starts now sees it (or will later, if reads are not fresh).
    Committed {
        /// The version that this store created.
        version: Version,
        /// The version that this store displaced, if the backend found one.
        displaced: Displaced,
    },
    /// The current version is not the expected one. This store has changed nothing so far.
    Conflict {
        /// The current value, if the backend has read it, so that the caller need not read it again.
        current: Option<Stored>,
        /// Versions that would prove the opposite: if one of them becomes current, this store has taken effect after
        /// all. Empty unless a network can deliver a request late and twice.
        applied_if: Vec<Version>,
    },
}

impl StoreOutcome {
    /// A commit that displaced nothing.
    pub fn committed(version: Version) -> Self {
        Self::Committed { version, displaced: Displaced::Nothing }
    }

    /// A conflict with `current`, for a store that will never take effect.
    pub fn conflict(current: impl Into<Option<Stored>>) -> Self {
        Self::Conflict { current: current.into(), applied_if: Vec::new() }
    }
}

/// The version that a commit displaced: a current version that was not the commit's base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Displaced {
    /// Nothing was displaced. Always the case with [`Writes::Exact`](crate::Writes::Exact).
    Nothing,
    /// The check was refused, failed, or could not decide. The write is valid nonetheless: a warning is logged, and
    /// [`Snapshot::verification`](crate::Snapshot::verification) is inconclusive.
    Unverified,
    /// A version of this project's writers that does not descend from the commit's base, because of a foreign write or
    /// a rollback.
    Cooperative {
        /// The version that is no longer current.
        version: Version,
        /// A command that shows the displaced content to an operator, if there is one.
        inspect: Option<String>,
    },
    /// A version of a foreign writer, stored between the load and the store.
    Foreign {
        /// The version that is no longer current.
        version: Version,
        /// A command that shows the displaced content to an operator, if there is one.
        inspect: Option<String>,
    },
}

#[cfg(test)]
#[path = "stored_tests.rs"]
mod tests;
