use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::{Location, Payload, Result, StoreOutcome, Stored, Version};

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
    /// True if a child process may use the backend after a fork: it holds no connection, lock or thread.
    pub fork_safe: bool,
}

impl Capabilities {
    /// Payloads of any size, fresh reads, and no use after a fork, until said otherwise.
    pub const fn new(writes: Writes) -> Self {
        Self { writes, max_payload: None, fresh_reads: true, fork_safe: false }
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

    /// Declares that a child process may use the backend after a fork.
    pub const fn fork_safe(mut self) -> Self {
        self.fork_safe = true;
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
