use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::{Error, ErrorKind, Location, Payload, Result, StoreOutcome, Stored, Version};

/// The guarantee of a backend for its writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Writes {
    /// Excludes every other writer of the store, including programs that do not use this crate.
    Exact,
    /// Excludes all writers of this project, and reports a foreign write that it displaced.
    Cooperative,
    /// The store has no conditional write: the last writer wins. Core refuses to write.
    Unconditional,
    /// The backend never writes. Core refuses to write.
    ReadOnly,
}

/// Properties of a backend. They are constant, so that core can refuse a call before any I/O.
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
    /// The guarantee of conditional writes.
    pub writes: Writes,
    /// The largest payload accepted, in bytes.
    pub max_payload: Option<usize>,
    /// True if a load sees every store acknowledged before it began; false if it may lag behind for a while.
    pub fresh_reads: bool,
    /// True if a child process may use the backend after a fork, because it holds no connection, lock or thread.
    pub fork_safe: bool,
    /// Cause and remedy for the error of a write, if the backend never writes and has declared them.
    pub refusal: Option<(&'static str, &'static str)>,
}

impl Capabilities {
    /// Capabilities of a backend that accepts payloads of any size, has fresh reads, and cannot be used after a fork.
    /// The methods below declare otherwise.
    pub const fn new(writes: Writes) -> Self {
        Self { writes, max_payload: None, fresh_reads: true, fork_safe: false, refusal: None }
    }

    /// Sets the largest payload accepted, in bytes.
    pub const fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = Some(bytes);
        self
    }

    /// Declares that a load may return an outdated version for a while.
    pub const fn stale_reads(mut self) -> Self {
        self.fresh_reads = false;
        self
    }

    /// Declares that a child process may use the backend after a fork.
    pub const fn fork_safe(mut self) -> Self {
        self.fork_safe = true;
        self
    }

    /// Declares that the backend never writes, with the cause and the remedy that the error of a write states.
    pub const fn read_only(mut self, cause: &'static str, remedy: &'static str) -> Self {
        self.writes = Writes::ReadOnly;
        self.refusal = Some((cause, remedy));
        self
    }

    /// Refuses a write to a backend that never writes or has no conditional write.
    ///
    /// # Errors
    /// [`ErrorKind::ReadOnly`] or [`ErrorKind::Unsupported`].
    pub fn check_write(&self) -> Result<()> {
        let (kind, message) = match (self.writes, self.refusal) {
            (Writes::Exact | Writes::Cooperative, _) => return Ok(()),
            (Writes::ReadOnly, Some((cause, remedy))) => {
                return Err(Error::not_applied(ErrorKind::ReadOnly, cause).with_hint(remedy));
            }
            (Writes::ReadOnly, None) => (ErrorKind::ReadOnly, "this backend never writes"),
            (Writes::Unconditional, _) => (
                ErrorKind::Unsupported,
                "this backend has no conditional write, so a write could silently undo another one",
            ),
        };
        Err(Error::not_applied(kind, message))
    }
}

/// A store of one configuration document; the trait that a backend implements.
///
/// It has three operations, `load`, `confirm` and `store`, none with a default body. The hard parts (queueing, retries,
/// merging, deadlines) are implemented once, in [`ConfigStorage`](crate::ConfigStorage).
///
/// # Contract
/// - **Conditional.** Of all [`store`](Self::store) calls with the same `expected` version, at most one is answered
///   [`Committed`](StoreOutcome::Committed), *even if their payloads are equal*, regardless of the handle, process or
///   host they come from. A backend that cannot promise this says so in [`Capabilities::writes`].
/// - **Whole.** A load returns a stored payload byte for byte, never a part of one and never a mixture. A backend may
///   add framing of its own and remove it again.
/// - **Honest.** `Committed` means that the store has acknowledged the write. An error claims
///   [`Outcome::NotApplied`](crate::Outcome::NotApplied) only if the payload is not stored and never will be. A store
///   that cannot be read, or whose content the backend cannot unframe, is an error: never [`Absent`](Stored::Absent),
///   and never an empty document.
/// - **No side effects.** A load never creates anything. A store creates only if its `expected` version comes from a
///   load that found [`Absent`](Stored::Absent).
/// - **Cancel safe.** All futures may be dropped at any `await`. A dropped store takes effect once or never, possibly
///   later, and never in part.
/// - **Bounded.** All futures complete within a time that is reasonable for the store, without a timeout from outside.
///   The backend, not core, retries transport errors; the backend never retries a conflict.
/// - **Secret.** No error, `Debug` output, log event or panic contains a byte of a payload.
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
///         unreachable!("core never writes to a read-only backend")
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
    /// The location of the document.
    fn location(&self) -> Location;

    /// The properties of this backend. Constant, and obtained without I/O.
    fn capabilities(&self) -> Capabilities;

    /// Reads the stored document.
    ///
    /// # Errors
    /// An error whose kind tells the caller what to do, such as [`AccessDenied`](crate::ErrorKind::AccessDenied). An
    /// empty store is not an error but [`Stored::Absent`].
    async fn load(&self) -> Result<Stored>;

    /// Returns true if `version`, which a load returned, is current. Must not rely on the kind of read that
    /// [`load`](Self::load) uses.
    ///
    /// Core calls this when a load returns an older version than one it has already seen, and before it answers a write
    /// that changes nothing, because no store shows then that the load was fresh. A backend with fresh reads may return
    /// `true` without reading.
    ///
    /// # Errors
    /// The same as for [`load`](Self::load). A version that no longer exists is not an error: it is not current.
    async fn confirm(&self, version: &Version) -> Result<bool>;

    /// Stores `payload` if `expected` is still the current version.
    ///
    /// # Errors
    /// An error whose [`outcome`](crate::Error::outcome) states whether the payload is stored, or is `Unknown`. If
    /// another version is current, the result is not an error but [`StoreOutcome::Conflict`].
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
