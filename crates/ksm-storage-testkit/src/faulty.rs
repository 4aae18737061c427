use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use ksm_storage_core::{
    Capabilities, Clock, Error, ErrorKind, Location, Outcome, Payload, Result, StorageBackend, StoreOutcome,
    Stored, Version,
};

/// A backend around another one in which calls fail at random, as they do when a network does: before they have an
/// effect and after it, and always honestly reported.
///
/// The faults of one instance and its clones follow from the seed and the order of its calls. Time is the clock's.
///
/// ```
/// use std::{sync::Arc, time::Duration};
///
/// use ksm_storage_core::{ErrorKind, StorageBackend};
/// use ksm_storage_memory::MemoryBackend;
/// use ksm_storage_testkit::{FaultRates, FaultyBackend, TestClock};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let rates = FaultRates { fail: 100, ..FaultRates::NONE };
/// let inner = Arc::new(MemoryBackend::new());
/// let backend = FaultyBackend::new(inner, Arc::new(TestClock::new()), rates, 7);
/// assert_eq!(backend.load().await.unwrap_err().kind(), ErrorKind::Unavailable);
/// assert_eq!(backend.injected(), 1);
/// # });
/// ```
#[derive(Clone)]
pub struct FaultyBackend {
    inner: Arc<dyn StorageBackend>,
    clock: Arc<dyn Clock>,
    state: Arc<State>,
}

struct State {
    rates: Mutex<FaultRates>,
    random: Mutex<fastrand::Rng>,
    injected: AtomicUsize,
}

/// The frequency of each fault, in per cent of the calls. At most one happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultRates {
    /// Fails, without an effect.
    pub fail: u8,
    /// Stores, then fails with an unknown outcome. Loads fail.
    pub reply_lost: u8,
    /// Claims that another version is current, and stores nothing. Loads are not concerned.
    pub conflict: u8,
    /// Takes time before it has an effect, and after it.
    pub delay: u8,
    /// Never answers, before it has an effect or after it.
    pub hang: u8,
}

impl FaultRates {
    /// No fault.
    pub const NONE: Self = Self { fail: 0, reply_lost: 0, conflict: 0, delay: 0, hang: 0 };

    /// Faults that a caller may notice only by the time that they take.
    pub const DELAYS: Self = Self { delay: 50, ..Self::NONE };

    /// A bad day: every third call meets with something.
    pub const MANY: Self = Self { fail: 6, reply_lost: 8, conflict: 6, delay: 10, hang: 4 };

    /// The fault that the number `0..100` stands for.
    fn pick(self, number: u8) -> Option<Fault> {
        let mut end = 0;
        let mut hit = |rate: u8| {
            end += u32::from(rate);
            u32::from(number) < end
        };
        [
            (self.fail, Fault::Fail),
            (self.reply_lost, Fault::ReplyLost),
            (self.conflict, Fault::Conflict),
            (self.delay, Fault::Delay),
            (self.hang, Fault::Hang),
        ]
        .into_iter()
        .find_map(|(rate, fault)| hit(rate).then_some(fault))
    }
}

#[derive(Clone, Copy)]
enum Fault {
    Fail,
    ReplyLost,
    Conflict,
    Delay,
    Hang,
}

/// Shorter than any deadline, longer than any pause.
const DELAY: Duration = Duration::from_millis(200);
/// Longer than any usual deadline.
const HANG: Duration = Duration::from_secs(60);

impl FaultyBackend {
    /// Around `inner`. Delays and hangs let `clock` advance, which should be the storage's.
    pub fn new(inner: Arc<dyn StorageBackend>, clock: Arc<dyn Clock>, rates: FaultRates, seed: u64) -> Self {
        let state = State {
            rates: Mutex::new(rates),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            injected: AtomicUsize::new(0),
        };
        Self { inner, clock, state: Arc::new(state) }
    }

    /// From now on faults happen this often.
    pub fn set_rates(&self, rates: FaultRates) {
        *self.state.rates.lock().unwrap_or_else(PoisonError::into_inner) = rates;
    }

    /// Number of faults so far.
    pub fn injected(&self) -> usize {
        self.state.injected.load(Ordering::Relaxed)
    }

    /// The fault of this call, if it has one, and whether it strikes before the effect, where there is a choice.
    fn fault(&self) -> (Option<Fault>, bool) {
        let rates = *self.state.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let mut random = self.state.random.lock().unwrap_or_else(PoisonError::into_inner);
        (rates.pick(random.u8(0..100)), random.bool())
    }

    fn count(&self) {
        self.state.injected.fetch_add(1, Ordering::Relaxed);
    }

    async fn hang<T>(&self) -> T {
        self.clock.sleep(HANG).await;
        std::future::pending().await
    }
}

fn failed(outcome: Outcome) -> Error {
    Error::new(ErrorKind::Unavailable, "a fault that was injected").with_outcome(outcome)
}

#[async_trait]
impl StorageBackend for FaultyBackend {
    fn location(&self) -> Location {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn load(&self) -> Result<Stored> {
        let (fault, early) = self.fault();
        match fault {
            None | Some(Fault::Conflict) => self.inner.load().await,
            Some(fault) => {
                self.count();
                match fault {
                    Fault::Delay => {
                        self.clock.sleep(DELAY).await;
                        let loaded = self.inner.load().await;
                        self.clock.sleep(DELAY).await;
                        loaded
                    }
                    Fault::Hang if early => self.hang().await,
                    Fault::Hang => {
                        self.inner.load().await?;
                        self.hang().await
                    }
                    _ => Err(failed(Outcome::NotApplied)),
                }
            }
        }
    }

    async fn confirm(&self, version: &Version) -> Result<bool> {
        self.inner.confirm(version).await
    }

    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        let (fault, early) = self.fault();
        let Some(fault) = fault else { return self.inner.store(expected, payload).await };
        self.count();
        match fault {
            Fault::Fail if early => Err(failed(Outcome::NotApplied)),
            // The request was lost, and nobody can tell.
            Fault::Fail => Err(failed(Outcome::Unknown)),
            Fault::ReplyLost => {
                self.inner.store(expected, payload).await?;
                Err(failed(Outcome::Unknown))
            }
            Fault::Conflict => Ok(StoreOutcome::conflict(None)),
            Fault::Delay => {
                self.clock.sleep(DELAY).await;
                let stored = self.inner.store(expected, payload).await;
                self.clock.sleep(DELAY).await;
                stored
            }
            Fault::Hang if early => self.hang().await,
            Fault::Hang => {
                self.inner.store(expected, payload).await?;
                self.hang().await
            }
        }
    }
}

impl fmt::Debug for FaultyBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyBackend").field("inner", &self.inner).finish_non_exhaustive()
    }
}
