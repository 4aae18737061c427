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

/// Wraps a backend so that calls fail at random, as over a network: before or after they take effect. Every failure is
/// reported with a true outcome.
///
/// The faults of an instance and its clones are determined by the seed and the order of calls. Time is the clock's.
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

/// The frequency of each fault, in percent of calls. A call has at most one fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultRates {
    /// Fails without an effect.
    pub fail: u8,
    /// Stores, then fails with an unknown outcome. Loads fail.
    pub reply_lost: u8,
    /// Claims that another version is current, and stores nothing. Does not apply to loads.
    pub conflict: u8,
    /// Takes time before and after it takes effect.
    pub delay: u8,
    /// Never completes, either before or after it takes effect.
    pub hang: u8,
}

impl FaultRates {
    /// No faults.
    pub const NONE: Self = Self { fail: 0, reply_lost: 0, conflict: 0, delay: 0, hang: 0 };

    /// Faults that a caller notices only by the time they take.
    pub const DELAYS: Self = Self { delay: 50, ..Self::NONE };

    /// Many faults: about one call in three.
    pub const MANY: Self = Self { fail: 6, reply_lost: 8, conflict: 6, delay: 10, hang: 4 };

    /// The fault selected by a `number` from `0..100`.
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

/// Shorter than any deadline, and longer than any pause.
const DELAY: Duration = Duration::from_millis(200);
/// Longer than any usual deadline.
const HANG: Duration = Duration::from_mins(1);

impl FaultyBackend {
    /// Wraps `inner`. Delays and hangs advance `clock`, which should be the storage's.
    pub fn new(inner: Arc<dyn StorageBackend>, clock: Arc<dyn Clock>, rates: FaultRates, seed: u64) -> Self {
        let state = State {
            rates: Mutex::new(rates),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            injected: AtomicUsize::new(0),
        };
        Self { inner, clock, state: Arc::new(state) }
    }

    /// Sets the fault rates for later calls.
    pub fn set_rates(&self, rates: FaultRates) {
        *self.state.rates.lock().unwrap_or_else(PoisonError::into_inner) = rates;
    }

    /// Number of faults injected so far.
    pub fn injected(&self) -> usize {
        self.state.injected.load(Ordering::Relaxed)
    }

    /// The fault of this call, if any, and whether it strikes before the effect if there is a choice.
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
            // The request was lost, and the caller cannot know.
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
