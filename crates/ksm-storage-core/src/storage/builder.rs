use std::{num::NonZeroU32, time::Duration};

use tracing::{Instrument, debug, debug_span};

use super::{
    ConfigStorage, Shared,
    backoff::{pause, within_deadline},
    committer,
    reader::{self, timeout},
    runtime,
};
use crate::{
    Clock, ConfigDocument, Displaced, Error, ErrorKind, Operation, Outcome, Result, Snapshot, StorageBackend,
    StoreOutcome, SystemClock, Writes, clock::within, sync::Arc,
};

/// Settings of a storage that is about to be opened.
///
/// ```
/// # use std::{num::NonZeroU32, time::Duration};
/// # use ksm_storage_core::{ConfigStorage, Error, ErrorKind, ConfigKey};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let backend = ksm_storage_memory::MemoryBackend::from_config("{}");
/// let storage =
///     ConfigStorage::builder(backend).deadline(Duration::from_secs(5)).read_only().open().await?;
/// let refused = storage.set(ConfigKey::Hostname, "keepersecurity.com").await.unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::ReadOnly);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until it is opened"]
pub struct ConfigStorageBuilder {
    backend: Arc<dyn StorageBackend>,
    attempts: NonZeroU32,
    deadline: Duration,
    read_only: bool,
    clock: Arc<dyn Clock>,
}

impl ConfigStorageBuilder {
    pub(super) fn new(backend: Arc<dyn StorageBackend>) -> Self {
        const ATTEMPTS: NonZeroU32 = NonZeroU32::new(16).unwrap();
        Self {
            backend,
            attempts: ATTEMPTS,
            deadline: Duration::from_secs(15),
            read_only: false,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// How often a write may lose against other writers before it ends in [`ErrorKind::Conflict`]: 16 if not set.
    pub fn write_attempts(mut self, attempts: NonZeroU32) -> Self {
        self.attempts = attempts;
        self
    }

    /// How long a call may take before it ends in [`ErrorKind::Timeout`]: 15 s if not set.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Refuses every write before any I/O.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// The source of time and chance: [`SystemClock`] if not set.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Loads and parses the document, once.
    ///
    /// # Errors
    /// - [`ErrorKind::NotFound`] if nothing is stored.
    /// - [`ErrorKind::InvalidConfig`] if what is stored is no configuration document.
    /// - [`ErrorKind::Runtime`] if there is no Tokio runtime on this thread.
    /// - [`ErrorKind::Timeout`] if the store does not answer before the deadline.
    /// - Whatever the backend reports of a failed load.
    pub async fn open(self) -> Result<ConfigStorage> {
        let span = debug_span!("open", location = %self.backend.location());
        let deadline = self.clock.now().saturating_add(self.deadline);
        let opening = async {
            runtime()?;
            let (_, snapshot) = reader::open(&*self.backend, &*self.clock, deadline).await?;
            snapshot
        };
        let snapshot = opening
            .instrument(span)
            .await
            .map_err(|error| error.decorate(Operation::Open, || self.backend.location()))?;
        Ok(self.finish(snapshot))
    }

    /// As [`open`](Self::open), but where nothing is stored, an empty document is.
    ///
    /// This and nothing else makes core store something where nothing is.
    ///
    /// # Errors
    /// Those of [`open`](Self::open) but for [`ErrorKind::NotFound`], and those of a write. A read-only storage, or
    /// one whose backend cannot write safely, is opened if something is stored, else refused.
    pub async fn open_or_create(self) -> Result<ConfigStorage> {
        let span = debug_span!("open_or_create", location = %self.backend.location());
        let snapshot = self
            .load_or_create()
            .instrument(span)
            .await
            .map_err(|error| error.decorate(Operation::OpenOrCreate, || self.backend.location()))?;
        Ok(self.finish(snapshot))
    }

    async fn load_or_create(&self) -> Result<Snapshot> {
        runtime()?;
        let clock = &*self.clock;
        let deadline = clock.now().saturating_add(self.deadline);
        for attempt in 1..=self.attempts.get() {
            let (stored, snapshot) = reader::open(&*self.backend, clock, deadline).await?;
            if stored.payload().is_some() {
                return snapshot;
            }
            refuse_write(&*self.backend, self.read_only)?;
            let document = ConfigDocument::new();
            let payload = document.to_payload();
            let store = within(clock, deadline, self.backend.store(stored.version(), &payload)).await;
            let outcome = store.unwrap_or_else(|| {
                Err(timeout("the store did not answer before the deadline").with_outcome(Outcome::Unknown))
            })?;
            match outcome {
                StoreOutcome::Committed { version, displaced } => {
                    let location = self.backend.location();
                    debug!(%location, attempt, %version, "created");
                    committer::report(&location, &version, &displaced);
                    if let Displaced::Foreign { version: foreign, inspect } = displaced {
                        let snapshot = Snapshot::new(version, document);
                        return Err(committer::displaced_error(&snapshot, &foreign, inspect.as_deref()));
                    }
                    return Ok(Snapshot::new(version, document));
                }
                // Somebody else has just created it.
                StoreOutcome::Conflict { .. } => {
                    let wait = clock.sleep(pause(clock, attempt));
                    within_deadline(clock, deadline, wait).await.ok_or_else(|| {
                        timeout("the store could neither be read nor created before the deadline")
                    })?;
                }
            }
        }
        Err(Error::not_applied(ErrorKind::Conflict, "the store is being created and removed by others"))
    }

    fn finish(self, snapshot: Snapshot) -> ConfigStorage {
        let Self { backend, attempts, deadline, read_only, clock } = self;
        ConfigStorage::from_shared(Shared::new(backend, attempts, deadline, read_only, clock, snapshot))
    }
}

/// The reason why nothing may be written, if there is one.
pub(super) fn refuse_write(backend: &dyn StorageBackend, read_only: bool) -> Result<()> {
    let (kind, message) = match backend.capabilities().writes {
        _ if read_only => (ErrorKind::ReadOnly, "this storage was opened read-only"),
        Writes::ReadOnly => (ErrorKind::ReadOnly, "this backend never writes"),
        Writes::Unconditional => (
            ErrorKind::Unsupported,
            "this backend has no conditional write, so that a write could undo another one unseen",
        ),
        Writes::Exact | Writes::Cooperative => return Ok(()),
    };
    Err(Error::not_applied(kind, message))
}

#[cfg(test)]
mod tests {
    use super::{super::reader::tests::Fixed, *};
    use crate::Version;

    #[test]
    fn a_handle_has_the_deadline_that_its_builder_was_given() {
        let finish = |builder: ConfigStorageBuilder| {
            builder.finish(Snapshot::new(Version::new("1"), ConfigDocument::new()))
        };
        let builder = || ConfigStorageBuilder::new(Arc::new(Fixed(None)));
        assert_eq!(finish(builder()).deadline(), Duration::from_secs(15));
        assert_eq!(finish(builder().deadline(Duration::from_secs(7))).deadline(), Duration::from_secs(7));
    }
}
