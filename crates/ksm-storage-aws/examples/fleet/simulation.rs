//! Thousands of programs that open one secret within a second, in virtual time.
//!
//! Everything above [`SecretsClient`] is real: the backend, its pauses, core and its deadline. Below it is the emulator,
//! with the quotas that AWS publishes and a simulated network delay.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use ksm_storage_aws::{
    AwsSecretBackend, CallError, Concurrency, Create, MoveCurrent, Put, PutReply, SecretVersion,
    SecretsClient, Select, VersionList,
};
use ksm_storage_core::{Clock, ConfigKey, ConfigStorage, Error, ExposeSecret};
use ksm_storage_emulator::{Action, Emulator, Value};
use tokio::{task::JoinSet, time::Instant};

use crate::bind::{FakeService, NOT_SAVED, bind};

/// The starts of a fleet, and the service that they call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fleet {
    pub(crate) starts: u32,
    /// The moments at which they start; if empty, random moments within one second.
    pub(crate) arrivals: Vec<Duration>,
    /// The quota of `GetSecretValue` calls per second.
    pub(crate) gets: u32,
    /// The quota of `PutSecretValue` calls per second.
    pub(crate) puts: u32,
    /// Answer with 503 for 30 s, from the middle of the second in which all programs start. A failed start is repeated
    /// after 5 to 15 s, for five minutes at most.
    pub(crate) outage: bool,
    /// Start with an unbound secret, and give every program the same one-time token.
    pub(crate) unbound: bool,
    pub(crate) retries: Retries,
}

/// The retry policy for throttled reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retries {
    /// The backend's retries.
    Own,
    /// The AWS SDK's retries, with the maximum first pause in milliseconds.
    Sdk(u32),
}

/// The results of a simulation.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) starts: u32,
    /// Failed first starts, by error kind.
    pub(crate) failures: BTreeMap<String, u32>,
    /// The number of calls, including those that were throttled or not answered.
    pub(crate) gets: usize,
    pub(crate) puts: usize,
    /// The number of versions stored by the programs.
    pub(crate) stored: usize,
    /// The number of key pairs with which unbound starts opened.
    pub(crate) bindings: usize,
    /// The durations of successful first starts in milliseconds, sorted.
    pub(crate) times: Vec<u32>,
    /// The numbers of calls and successful starts in each second.
    pub(crate) seconds: Vec<[u32; 2]>,
    /// The time of the last successful start, if every start succeeded in the end.
    pub(crate) last: Option<Duration>,
}

impl Report {
    pub(crate) fn opened(&self) -> f64 {
        self.times.len() as f64 / f64::from(self.starts)
    }

    pub(crate) fn gets_per_start(&self) -> f64 {
        self.gets as f64 / f64::from(self.starts)
    }

    /// The duration within which this share of the successful starts completed.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let at = (share * self.times.len().saturating_sub(1) as f64) as usize;
        Duration::from_millis(self.times.get(at).copied().unwrap_or_default().into())
    }
}

/// The deadline of opening a storage, after which a start fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(15);
/// The time after which failed starts are no longer repeated.
const END: Duration = Duration::from_mins(5);
const OUTAGE: [Duration; 2] = [Duration::from_millis(500), Duration::from_millis(30_500)];

impl Default for Fleet {
    fn default() -> Self {
        let retries = Retries::Own;
        let arrivals = Vec::new();
        Self { starts: 10_000, arrivals, gets: 10_000, puts: 50, outage: false, unbound: false, retries }
    }
}

impl Fleet {
    /// Runs the simulation in virtual time. It is deterministic.
    pub(crate) fn run(&self) -> Report {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime without threads").block_on(self.simulate())
    }

    async fn simulate(&self) -> Report {
        let emulator = Emulator::new("us-east-1");
        let initial = if self.unbound { "{}" } else { r#"{"hostname":"keepersecurity.com"}"# };
        emulator.secret("ksm-config").overwrite(Value::Text(initial.into()));
        emulator.set_version_quota(None);
        emulator.set_rate(Action::GetSecretValue, NonZeroU32::new(self.gets));
        emulator.set_rate(Action::PutSecretValue, NonZeroU32::new(self.puts));
        let world = World { fleet: self.clone(), start: Instant::now(), emulator, counts: Arc::default() };
        let keeper = FakeService::default();
        let mut tasks = JoinSet::new();
        for number in 0..self.starts {
            let clock = SimClock::new(world.start, number);
            let (world, keeper) = (world.clone(), keeper.clone());
            tasks.spawn(async move {
                let moment = share(Duration::from_secs(1), clock.random());
                let given = usize::try_from(number).ok().and_then(|number| world.fleet.arrivals.get(number));
                clock.sleep(given.copied().unwrap_or(moment)).await;
                let began = Instant::now();
                let first = world.start_one(&clock, number, &keeper).await;
                let time = began.elapsed();
                let mut ended = first.is_ok();
                let is_repeated = world.fleet.outage || first.as_ref().is_err_and(|kind| kind == NOT_SAVED);
                while is_repeated && !ended && world.start.elapsed() < END {
                    let wait = Duration::from_secs(5) + share(Duration::from_secs(10), clock.random());
                    clock.sleep(wait).await;
                    ended = world.start_one(&clock, number, &keeper).await.is_ok();
                }
                if ended {
                    world.lock().seconds[world.second()][1] += 1;
                }
                (first, time, ended.then(|| world.start.elapsed()))
            });
        }
        let mut report = Report { starts: self.starts, last: Some(Duration::ZERO), ..Report::default() };
        while let Some(ended) = tasks.join_next().await {
            let (first, time, last) = ended.expect("a start does not panic");
            report.last = report.last.zip(last).map(|(latest, last)| latest.max(last));
            match first {
                Ok(()) => report.times.push(u32::try_from(time.as_millis()).unwrap_or(u32::MAX)),
                Err(kind) => *report.failures.entry(kind).or_default() += 1,
            }
        }
        report.times.sort_unstable();
        let counts = std::mem::take(&mut *world.lock());
        (report.gets, report.puts, report.seconds) = (counts.gets, counts.puts, counts.seconds);
        report.bindings = counts.pairs.len();
        report.stored = world.emulator.secret("ksm-config").versions().len() - 1;
        report
    }
}

#[derive(Clone)]
struct World {
    fleet: Fleet,
    start: Instant,
    emulator: Emulator,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Default)]
struct Counts {
    gets: usize,
    puts: usize,
    seconds: Vec<[u32; 2]>,
    /// The key pairs with which unbound starts opened.
    pairs: BTreeSet<String>,
}

impl World {
    async fn start_one(&self, clock: &SimClock, number: u32, keeper: &FakeService) -> Result<(), String> {
        let client = Network { world: self.clone(), clock: clock.clone() };
        let id = "ksm-config".parse().expect("a name");
        let clock: Arc<dyn Clock> = Arc::new(clock.clone());
        let (client, region) = (Arc::new(client), "us-east-1");
        let backend =
            AwsSecretBackend::with_clock(client, id, region, Concurrency::Optimistic, Arc::clone(&clock));
        let kind_name = |error: Error| error.kind().as_str().to_owned();
        let opened =
            ConfigStorage::builder(backend).deadline(DEADLINE).clock(SharedClock(clock)).open().await;
        let storage = opened.map_err(kind_name)?;
        if self.fleet.unbound {
            bind(&storage, number, keeper).await?;
            let pair =
                storage.snapshot().get(ConfigKey::PrivateKey).map(|pair| pair.expose_secret().to_owned());
            self.lock().pairs.insert(pair.unwrap_or_default());
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        let mut counts = self.counts.lock().expect("no start panics");
        let end = counts.seconds.len().max(self.second() + 1);
        counts.seconds.resize(end, [0, 0]);
        counts
    }

    fn second(&self) -> usize {
        usize::try_from(self.start.elapsed().as_secs()).unwrap_or_default()
    }

    /// Counts a call.
    fn count(&self, action: Action) {
        let (mut counts, second) = (self.lock(), self.second());
        counts.seconds[second][0] += 1;
        match action {
            Action::GetSecretValue => counts.gets += 1,
            _ => counts.puts += 1,
        }
    }

    fn is_down(&self) -> bool {
        let now = self.start.elapsed();
        self.fleet.outage && now >= OUTAGE[0] && now < OUTAGE[1]
    }
}

/// The network between one program and the service.
#[derive(Clone)]
struct Network {
    world: World,
    clock: SimClock,
}

impl Network {
    /// A delay of 10 to 30 ms for a request and its reply.
    async fn travel(&self) {
        self.clock
            .sleep(Duration::from_millis(10) + share(Duration::from_millis(20), self.clock.random()))
            .await;
    }

    /// Makes a call as the SDK does, with three attempts if the service answers 503, or if it throttles and the fleet
    /// uses the SDK's retries.
    async fn call<T, F: Future<Output = Result<T, CallError>>>(
        &self,
        action: Action,
        call: impl Fn() -> F,
    ) -> Result<T, CallError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            self.travel().await;
            self.world.count(action);
            let answer = if self.world.is_down() {
                Err(CallError::answered(503, "ServiceUnavailable"))
            } else {
                call().await
            };
            let Err(error) = answer else { return answer };
            let is_throttled = error.code.as_deref() == Some("ThrottlingException");
            let first = match self.world.fleet.retries {
                Retries::Own if is_throttled => return Err(error),
                Retries::Own => 200,
                Retries::Sdk(first) => first,
            };
            if attempt == 3 {
                // An error that the backend does not retry.
                return Err(if is_throttled { CallError::answered(400, "ThrottledForGood") } else { error });
            }
            let longest = Duration::from_millis(first.into()) * 2_u32.pow(attempt - 1);
            self.clock.sleep(share(longest, self.clock.random())).await;
        }
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Network")
    }
}

#[async_trait]
impl SecretsClient for Network {
    async fn get(&self, secret: &str, version: &Select) -> Result<SecretVersion, CallError> {
        self.call(Action::GetSecretValue, || SecretsClient::get(&self.world.emulator, secret, version)).await
    }

    async fn put(&self, put: &Put) -> Result<PutReply, CallError> {
        self.call(Action::PutSecretValue, || SecretsClient::put(&self.world.emulator, put)).await
    }

    async fn create(&self, create: &Create) -> Result<(), CallError> {
        self.call(Action::CreateSecret, || SecretsClient::create(&self.world.emulator, create)).await
    }

    async fn move_current(&self, request: &MoveCurrent) -> Result<(), CallError> {
        self.call(Action::UpdateSecretVersionStage, || self.world.emulator.move_current(request)).await
    }

    async fn primary_region(&self, secret: &str) -> Result<Option<String>, CallError> {
        self.call(Action::DescribeSecret, || self.world.emulator.primary_region(secret)).await
    }

    async fn versions(&self, secret: &str) -> Result<VersionList, CallError> {
        self.call(Action::ListSecretVersionIds, || self.world.emulator.versions(secret)).await
    }
}

/// The runtime's virtual clock, with reproducible random numbers.
#[derive(Clone, Debug)]
struct SimClock {
    origin: Instant,
    random: Arc<Mutex<fastrand::Rng>>,
}

impl SimClock {
    fn new(origin: Instant, seed: u32) -> Self {
        Self { origin, random: Arc::new(Mutex::new(fastrand::Rng::with_seed(seed.into()))) }
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    async fn alarm(&self, instant: Duration) {
        tokio::time::sleep_until(self.origin + instant).await;
    }

    fn random(&self) -> u64 {
        self.random.lock().expect("no start panics").u64(..)
    }
}

#[derive(Debug)]
struct SharedClock(Arc<dyn Clock>);

#[async_trait]
impl Clock for SharedClock {
    fn now(&self) -> Duration {
        self.0.now()
    }

    async fn sleep(&self, duration: Duration) {
        self.0.sleep(duration).await;
    }

    async fn alarm(&self, instant: Duration) {
        self.0.alarm(instant).await;
    }

    fn random(&self) -> u64 {
        self.0.random()
    }
}

/// A random fraction of a duration.
fn share(whole: Duration, random: u64) -> Duration {
    Duration::from_nanos(random % u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX).max(1))
}
