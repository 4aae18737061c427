//! Scheduled refreshes, and the stream of versions that become current.

use std::{
    fmt, mem, process,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{runtime::Handle, sync::watch, task::AbortHandle};
use tracing::instrument::WithSubscriber;

use super::{ConfigStorage, change::Execution, shared::Shared};
use crate::{Clock, Error, ErrorKind, Operation, Result, Version, events::Event, sync::lock};

/// The task that keeps a storage fresh. It is aborted on drop.
pub(super) struct Refresher(AbortHandle);

impl Drop for Refresher {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The stream of versions that become current on a handle and its clones, in order.
///
/// A version that is replaced before it is polled is skipped. The stream does not keep handles alive: it ends when the
/// last one is dropped.
///
/// ```
/// # use ksm_storage_core::{ConfigKey, ConfigStorage, Error};
/// # use ksm_storage_memory::MemoryBackend;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let storage = ConfigStorage::open(MemoryBackend::from_config("{}")).await?;
/// let mut changes = storage.changes();
/// storage.set(ConfigKey::Hostname, "keepersecurity.com").await?;
/// assert_eq!(changes.next().await.as_ref(), Some(storage.snapshot().version()));
/// drop(storage);
/// assert_eq!(changes.next().await, None);
/// # Ok(())
/// # }
/// ```
pub struct Changes {
    /// Always `None` in a child process.
    versions: Option<watch::Receiver<Version>>,
    process: u32,
}

impl Changes {
    /// Waits for a version that became current after the last one returned, or after this stream was created. Returns
    /// `None` if no handle is left, and in a child process after a fork. Cancel safe: no version is lost.
    pub async fn next(&mut self) -> Option<Version> {
        let versions = self.versions.as_mut().filter(|_| self.process == process::id())?;
        versions.changed().await.ok()?;
        Some(versions.borrow_and_update().clone())
    }
}

/// In a child process, a lock inside may stay locked forever, so the receiver is leaked.
impl Drop for Changes {
    fn drop(&mut self) {
        if self.process != process::id() {
            mem::forget(self.versions.take());
        }
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}

impl ConfigStorage {
    /// Starts a task on the runtime of this call that refreshes the storage once per period.
    ///
    /// The time within the period is random, so that programs that start together do not refresh together. A failed
    /// refresh logs a warning, keeps the snapshot, and is retried in the next period. The task does not keep handles
    /// alive, and ends when the last one is dropped. A second call replaces the task.
    ///
    /// After a [`reopen`](Self::reopen), call this on the new handle. On platforms that stop the process between
    /// requests, such as Lambda, call [`refresh`](Self::refresh) in the request handler instead.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ksm_storage_core::{ConfigStorage, Error};
    /// # use ksm_storage_memory::MemoryBackend;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let storage = ConfigStorage::open(MemoryBackend::from_config("{}")).await?;
    /// storage.keep_fresh(Duration::from_mins(5))?;
    /// let mut changes = storage.changes();
    /// tokio::spawn(async move {
    ///     while let Some(version) = changes.next().await {
    ///         println!("{version} is current now");
    ///     }
    /// });
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a period of zero, and [`ErrorKind::Runtime`] without a Tokio runtime or after a
    /// fork.
    pub fn keep_fresh(&self, every: Duration) -> Result<()> {
        self.start_refreshing(every).map_err(|error| self.decorate(Operation::Refresh, error))
    }

    fn start_refreshing(&self, every: Duration) -> Result<()> {
        let shared = &self.shared;
        shared.refuse_after_fork()?;
        if every.is_zero() {
            let message = "the period of scheduled refreshes is zero";
            return Err(Error::not_applied(ErrorKind::InvalidArgument, message)
                .with_hint("set a period, such as five minutes"));
        }
        let runtime = Handle::try_current().map_err(|_| Error::no_runtime())?;
        let mut refresher = lock(&shared.refresher);
        let task = refresh_regularly(Arc::downgrade(shared), Arc::clone(&shared.clock), every);
        *refresher = Some(Refresher(runtime.spawn(task.with_current_subscriber()).abort_handle()));
        Ok(())
    }

    /// The versions that become current from now on, whichever program stored them. The handle and its clones notice a
    /// version when they write or [refresh](Self::keep_fresh).
    pub fn changes(&self) -> Changes {
        let versions = (!self.shared.is_forked()).then(|| self.shared.versions.subscribe());
        Changes { versions, process: process::id() }
    }
}

async fn refresh_regularly(shared: Weak<Shared>, clock: Arc<dyn Clock>, every: Duration) {
    let mut next = clock.now().saturating_add(moment(&*clock, every));
    loop {
        clock.alarm(next).await;
        let Some(shared) = shared.upgrade() else { return };
        let storage = ConfigStorage { shared, execution: Execution::Inline };
        if let Err(error) = storage.refresh().await {
            Event::Stale { error: &error }.log(|| storage.location());
        }
        drop(storage);
        next = following(next, every, clock.now());
    }
}

/// A random time in the first period.
fn moment(clock: &dyn Clock, every: Duration) -> Duration {
    let nanos = u64::try_from(every.as_nanos()).unwrap_or(u64::MAX).max(1);
    Duration::from_nanos(clock.random() % nanos).saturating_add(Duration::from_nanos(1))
}

/// The next time after `now` at the same position within its period.
fn following(moment: Duration, every: Duration, now: Duration) -> Duration {
    let past = now.saturating_sub(moment).as_nanos() % every.as_nanos().max(1);
    let past = Duration::from_nanos(u64::try_from(past).unwrap_or(u64::MAX));
    now.max(moment).saturating_sub(past).saturating_add(every)
}

#[cfg(test)]
mod tests {
    use super::{super::backoff::tests::Random, *};

    #[test]
    fn first_moment_is_within_a_period() {
        let every = Duration::from_mins(5);
        for random in [0, 1, 299_999_999_999, 300_000_000_000, u64::MAX] {
            let moment = moment(&Random(random), every);
            assert!(!moment.is_zero() && moment <= every, "{moment:?}");
        }
        assert!(moment(&Random(u64::MAX - 1), Duration::MAX) < Duration::MAX);
    }

    #[test]
    fn missed_moments_are_skipped() {
        let seconds = Duration::from_secs;
        for (now, next) in [(40, 140), (41, 140), (139, 140), (140, 240), (1_000, 1_040), (39, 140)] {
            assert_eq!(following(seconds(40), seconds(100), seconds(now)), seconds(next), "{now}");
        }
        assert_eq!(following(seconds(1), Duration::MAX, seconds(2)), Duration::MAX);
    }
}
