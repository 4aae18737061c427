//! The account and region that all emulated AWS services share.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    fmt,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use crate::{
    Action, ApiError, Fault, ResponseFault, Secret,
    clock::Clock,
    secrets_manager::{MAX_VERSIONS, Record},
};

/// The account of all emulated resources.
pub(crate) const ACCOUNT: &str = "123456789012";

/// One region of an AWS account: its secrets, and the identities issued by STS and the SSO portal. Clones share it.
#[derive(Clone)]
pub struct Emulator {
    region: Arc<str>,
    state: Arc<Mutex<State>>,
    /// All regions of the account, this one included.
    regions: Arc<Mutex<Regions>>,
}

type Regions = BTreeMap<Arc<str>, Arc<Mutex<State>>>;

pub(crate) struct State {
    pub(crate) secrets: Vec<Record>,
    pub(crate) clock: Clock,
    pub(crate) version_quota: Option<usize>,
    pub(crate) stale_reads: u32,
    pub(crate) replication_lag: Duration,
    /// ARNs of issued identities by access key ID.
    pub(crate) identities: BTreeMap<String, String>,
    pub(crate) web_identity_token: Option<String>,
    pub(crate) sso_token: Option<String>,
    denied: BTreeMap<Action, Cow<'static, str>>,
    calls: BTreeMap<Action, usize>,
    faults: BTreeMap<Action, VecDeque<Fault>>,
    rates: BTreeMap<Action, Rate>,
    chaos: Option<(fastrand::Rng, u8)>,
    serial: u64,
}

/// A quota per second that does not accumulate.
struct Rate {
    interval: Duration,
    /// The time until which past calls have used up the quota.
    paid: Instant,
}

impl Rate {
    /// The length of the largest burst.
    const TOLERANCE: Duration = Duration::from_millis(1);

    fn admits(&mut self, now: Instant) -> bool {
        let paid = self.paid.max(now);
        let admits = paid - now <= Self::TOLERANCE;
        if admits {
            self.paid = paid + self.interval;
        }
        admits
    }
}

impl Emulator {
    /// An empty region.
    pub fn new(region: impl Into<Arc<str>>) -> Self {
        Self { region: region.into(), state: Arc::default(), regions: Arc::default() }.registered()
    }

    /// Returns another region of the same account, which is created empty if it does not exist. Secrets can be
    /// [replicated](Secret::replicate_to) to it. A [`Server`](crate::Server) of any region serves all of them, because
    /// the signature of a request names its region.
    pub fn add_region(&self, region: impl Into<Arc<str>>) -> Self {
        let region = region.into();
        let known = self.of_region(&region);
        known.unwrap_or_else(|| {
            Self { region, state: Arc::default(), regions: Arc::clone(&self.regions) }.registered()
        })
    }

    /// The region with this name, if the account has it.
    pub(crate) fn of_region(&self, name: &str) -> Option<Self> {
        let regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        let (region, state) = regions.get_key_value(name)?;
        let (region, state) = (Arc::clone(region), Arc::clone(state));
        Some(Self { region, state, regions: Arc::clone(&self.regions) })
    }

    fn registered(self) -> Self {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        regions.insert(Arc::clone(&self.region), Arc::clone(&self.state));
        drop(regions);
        self
    }

    /// Makes replicas lag behind this region's secrets: a change arrives once nothing else has changed for this long.
    /// AWS states no bound. Without a lag, changes arrive at once.
    pub fn set_replication_lag(&self, lag: Duration) {
        self.lock().replication_lag = lag;
    }

    /// The region's name.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Locks the state, after removing secrets whose recovery window has ended and updating replicas.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.update_replicas();
        let mut state = self.lock_as_is();
        let now = state.clock.now();
        state.secrets.retain(|secret| secret.deletion.is_none_or(|date| date > now));
        state
    }

    pub(crate) fn lock_as_is(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of calls of the action, including rejected ones.
    pub fn calls(&self, action: Action) -> usize {
        self.lock().calls.get(&action).copied().unwrap_or_default()
    }

    /// Resets all call counts to zero.
    pub fn reset_calls(&self) {
        self.lock().calls.clear();
    }

    /// Injects these faults into the next calls of the action, in this order.
    pub fn fail(&self, action: Action, faults: impl IntoIterator<Item = Fault>) {
        self.lock().faults.entry(action).or_default().extend(faults);
    }

    /// Removes the faults that are still queued, and ends [`chaos`](Self::chaos).
    pub fn clear_faults(&self) {
        let mut state = self.lock();
        state.faults.clear();
        state.chaos = None;
    }

    /// Damages the response of each call with this probability in percent, before or after the call is carried out. The
    /// seed determines the sequence.
    pub fn chaos(&self, seed: u64, percent: u8) {
        self.lock().chaos = (percent > 0).then(|| (fastrand::Rng::with_seed(seed), percent));
    }

    /// Rejects calls of the action with `ThrottlingException` above this rate. Bursts may use a millisecond's share of
    /// the quota, but at least one call. `None` lifts the limit. AWS states 10,000 per second for `GetSecretValue` and
    /// 50 for `PutSecretValue`, per region and account. Time is that of the Tokio runtime, which may be virtual.
    pub fn set_rate(&self, action: Action, per_second: Option<NonZeroU32>) {
        let rate = per_second
            .map(|number| Rate { interval: Duration::from_secs(1) / number.get(), paid: Instant::now() });
        let mut state = self.lock();
        match rate {
            Some(rate) => drop(state.rates.insert(action, rate)),
            None => drop(state.rates.remove(&action)),
        }
    }

    /// Rejects the action from now on with this code: `AccessDeniedException`, or `DecryptionFailure` or
    /// `EncryptionFailure` as for an unusable key.
    pub fn deny(&self, action: Action, code: impl Into<Cow<'static, str>>) {
        self.lock().denied.insert(action, code.into());
    }

    /// Allows every action again.
    pub fn allow_all(&self) {
        self.lock().denied.clear();
    }

    /// Makes the next reads of `AWSCURRENT` return the previous version, as eventually consistent reads may.
    pub fn read_stale(&self, reads: u32) {
        self.lock().stale_reads = reads;
    }

    /// Advances the clock: versions age, recovery windows end.
    pub fn advance(&self, time: Duration) {
        self.lock().clock.advance(time);
    }

    /// Sets the clock and stops it; from then on, only [`advance`](Self::advance) moves it. All dates, including those
    /// of responses, come from this clock. By default, it follows the system's clock.
    pub fn set_clock(&self, time: SystemTime) {
        self.lock().clock.set(time);
    }

    /// Limits the number of versions younger than a day per secret; `None` lifts the limit. AWS allows 100.
    pub fn set_version_quota(&self, versions: Option<usize>) {
        self.lock().version_quota = versions;
    }

    /// Makes `AssumeRoleWithWebIdentity` reject every token but this one.
    pub fn expect_web_identity_token(&self, token: impl Into<String>) {
        self.lock().web_identity_token = Some(token.into());
    }

    /// Makes `GetRoleCredentials` reject every access token but this one.
    pub fn expect_sso_token(&self, token: impl Into<String>) {
        self.lock().sso_token = Some(token.into());
    }

    /// A handle to inspect and change a secret without the API. The secret need not exist yet.
    pub fn secret(&self, name: impl Into<String>) -> Secret {
        Secret::new(self.clone(), name.into())
    }

    /// Counts the call and returns the fault to inject into it.
    pub(crate) fn begin(&self, action: Action) -> Option<Fault> {
        let mut state = self.lock();
        *state.calls.entry(action).or_default() += 1;
        if let Some(fault) = state.faults.get_mut(&action).and_then(VecDeque::pop_front) {
            return Some(fault);
        }
        if state.rates.get_mut(&action).is_some_and(|rate| !rate.admits(Instant::now())) {
            return Some(Fault::refuse("ThrottlingException"));
        }
        let (rng, percent) = state.chaos.as_mut()?;
        if rng.u8(..100) >= *percent {
            return None;
        }
        let fault = ResponseFault::ALL[rng.usize(..ResponseFault::ALL.len())];
        Some(if rng.bool() { Fault::Before(fault) } else { Fault::After(fault) })
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            secrets: Vec::new(),
            clock: Clock::system(),
            version_quota: Some(MAX_VERSIONS),
            stale_reads: 0,
            replication_lag: Duration::ZERO,
            identities: BTreeMap::new(),
            web_identity_token: None,
            sso_token: None,
            denied: BTreeMap::new(),
            calls: BTreeMap::new(),
            faults: BTreeMap::new(),
            rates: BTreeMap::new(),
            chaos: None,
            serial: 0,
        }
    }
}

impl State {
    pub(crate) fn permit(&self, action: Action) -> Result<(), ApiError> {
        match self.denied.get(&action) {
            Some(code) => {
                Err(ApiError::new(code.clone(), format!("not allowed: {}:{action}", action.service())))
            }
            None => Ok(()),
        }
    }

    /// A number that this emulator has not used yet.
    pub(crate) fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator").field("region", &self.region).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn quotas_have_no_burst() {
        let emulator = Emulator::new("us-east-1");
        let admitted =
            |calls: u32| (0..calls).filter(|_| emulator.begin(Action::GetSecretValue).is_none()).count();
        assert_eq!(admitted(100), 100);
        emulator.set_rate(Action::GetSecretValue, NonZeroU32::new(5_000));
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(admitted(100), 6, "what a millisecond has, and one");
        let mut sum = 0;
        for _ in 0..1_000 {
            tokio::time::advance(Duration::from_millis(1)).await;
            sum += admitted(10);
        }
        assert!((4_990..=5_010).contains(&sum), "{sum}");
        emulator.set_rate(Action::GetSecretValue, None);
        assert_eq!(admitted(100), 100);
        emulator.set_rate(Action::PutSecretValue, NonZeroU32::new(50));
        let puts = (0..10).filter(|_| emulator.begin(Action::PutSecretValue).is_none());
        assert_eq!(puts.count(), 1);
    }
}
