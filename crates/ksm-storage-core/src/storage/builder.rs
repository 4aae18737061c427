use std::{num::NonZeroU32, time::Duration};

use tracing::{Instrument, Span, field};

use super::{
    ConfigStorage, Shared,
    backoff::within_deadline,
    call::runtime,
    change::Execution,
    reader::{self, timeout},
    replica::{Loaded, Opening},
};
#[cfg(doc)]
use crate::ErrorKind;
use crate::{
    Clock, Connect, Location, OpenOptions, Operation, Outcome, Result, StorageBackend, Stored, SystemClock,
    events::Step, sync::Arc,
};

/// Settings for opening a storage.
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
    source: Arc<dyn Connect>,
    options: OpenOptions,
    clock: Arc<dyn Clock>,
}

impl ConfigStorageBuilder {
    pub(super) fn new(source: Arc<dyn Connect>) -> Self {
        Self { source, options: OpenOptions::default(), clock: Arc::new(SystemClock::new()) }
    }

    /// The settings that a storage was opened with.
    pub(super) fn again(shared: &Shared) -> Self {
        let (source, clock) = (Arc::clone(&shared.source), Arc::clone(&shared.clock));
        Self { source, options: shared.options.clone(), clock }
    }

    /// Sets all options at once. A storage that is already [read-only](Self::read_only) stays so.
    pub fn options(mut self, options: OpenOptions) -> Self {
        let read_only = self.options.read_only;
        self.options = options;
        self.options.read_only |= read_only;
        self
    }

    /// Maximum number of attempts of a write that keeps losing to other writers; then it fails with
    /// [`ErrorKind::Conflict`]. The default is 16.
    pub fn write_attempts(mut self, attempts: NonZeroU32) -> Self {
        self.options.write_attempts = attempts;
        self
    }

    /// Time limit of a call, which then fails with [`ErrorKind::Timeout`]. The default is 15 s. Connecting and loading
    /// count as one call.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.options.deadline = deadline;
        self
    }

    /// Rejects every write before any I/O. Nothing set later revokes this, and a source that is read-only stays so
    /// without it.
    pub fn read_only(mut self) -> Self {
        self.options.read_only = true;
        self
    }

    /// The source of time and randomness. The default is [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Connects to the backend, then loads and parses the document, once.
    ///
    /// If the source has [replicas](Connect::replicas), and the store does not reply, is unavailable or cannot be
    /// reached, a replica's document is used and a warning is logged; see
    /// [`Snapshot::origin`](crate::Snapshot::origin). Replicas do not help if the store refuses the call or contains no
    /// document: that is an error.
    ///
    /// # Errors
    /// - [`ErrorKind::NotFound`] if nothing is stored.
    /// - [`ErrorKind::InvalidConfig`] if the stored value is not a configuration document.
    /// - [`ErrorKind::Runtime`] if there is no Tokio runtime on this thread.
    /// - [`ErrorKind::Timeout`] if the store does not reply before the deadline.
    /// - Any error of the backend's load.
    pub async fn open(self) -> Result<ConfigStorage> {
        self.open_unless(|_| Ok(())).await
    }

    /// Like [`open`](Self::open), but loads nothing if the backend is refused.
    pub(super) async fn open_unless(
        self,
        refuse: impl FnOnce(&Arc<dyn StorageBackend>) -> Result<()>,
    ) -> Result<ConfigStorage> {
        let (operation, step) = if self.options.create {
            (Operation::OpenOrCreate, Step::OpenOrCreate)
        } else {
            (Operation::Open, Step::Open)
        };
        let mut location = None;
        let opened = self.connect_and_load(refuse, &mut location).instrument(step.span()).await;
        opened.map_err(|error| error.decorate(operation, location))
    }

    /// Like [`open`](Self::open), but stores an empty document if nothing is stored.
    ///
    /// Only this method and [`OpenOptions::create`] make core write to an empty store.
    ///
    /// # Errors
    /// Those of [`open`](Self::open) except [`ErrorKind::NotFound`], and those of a write. A read-only storage, or one
    /// whose backend cannot write safely, opens only if something is stored.
    pub async fn open_or_create(mut self) -> Result<ConfigStorage> {
        self.options.create = true;
        self.open().await
    }

    /// Adds the location to errors as soon as it is known.
    async fn connect_and_load(
        self,
        refuse: impl FnOnce(&Arc<dyn StorageBackend>) -> Result<()>,
        location: &mut Option<Location>,
    ) -> Result<ConfigStorage> {
        runtime()?;
        let Self { source, options, clock } = self;
        let deadline = clock.now().saturating_add(options.deadline);
        let backend = within_deadline(&*clock, deadline, Arc::clone(&source).connect(&options))
            .await
            .unwrap_or_else(|| {
                Err(timeout("the backend could not be connected before the deadline")
                    .with_hint("check network and credentials"))
            })
            .map_err(|error| error.with_outcome(Outcome::NotApplied))?;
        Span::current().record("location", field::display(location.insert(backend.location())));
        refuse(&backend)?;
        let create = options.create;
        let shared = Shared::new(source, backend, options, Arc::clone(&clock));
        let opening = Opening {
            backend: &*shared.backend,
            source: &*shared.source,
            options: &shared.options,
            clock: &*clock,
            deadline,
        };
        let loaded = opening.load().await?;
        let storage = ConfigStorage { shared: Arc::new(shared), execution: Execution::Inline };
        match loaded {
            Loaded::Store(Stored::Absent { .. }) if create => storage.create(deadline).await?,
            Loaded::Store(stored) => drop(storage.shared.install(stored.version(), reader::parse(&stored)?)),
            Loaded::Replica { version, document } => storage.shared.install_replica(version, document),
        }
        Ok(storage)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::reader::tests::Fixed, *};
    use crate::Version;

    #[tokio::test]
    async fn handle_keeps_its_deadline() {
        let builder = || ConfigStorage::builder(Fixed(Some(Stored::present(Version::new("1"), "{}"))));
        assert_eq!(builder().open().await.unwrap().deadline(), Duration::from_secs(15));
        let deadline = Duration::from_secs(7);
        assert_eq!(builder().deadline(deadline).open().await.unwrap().deadline(), deadline);
        let options = OpenOptions { deadline, ..OpenOptions::default() };
        assert_eq!(builder().options(options).open().await.unwrap().deadline(), deadline);
    }
}
