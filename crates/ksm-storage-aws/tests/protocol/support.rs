//! A separate region for each test, and writers in it.

use std::{
    collections::VecDeque,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use ksm_storage_aws::{
    AwsSecretBackend, CallError, Concurrency, Create, MoveCurrent, Put, PutReply, SecretVersion,
    SecretsClient, Select, VersionList,
};
use ksm_storage_core::{ConfigStorage, Displaced, Payload, Result, StorageBackend, StoreOutcome, Version};
use ksm_storage_emulator::{Action, Emulator, Fault, ResponseFault, Secret, Value};
use tokio::runtime::Runtime;

pub(crate) const BOTH: [Concurrency; 2] = [Concurrency::Optimistic, Concurrency::Strict];

pub(crate) type Interference = Box<dyn FnOnce() + Send>;

/// The emulator, with steps that run just before certain calls.
struct Interposed {
    emulator: Emulator,
    before: Mutex<VecDeque<(&'static str, Interference)>>,
    /// The call that is never answered.
    hangs: Option<&'static str>,
    network: Network,
    /// The maximum delay of a call in each direction.
    latency: Duration,
    random: Mutex<fastrand::Rng>,
}

/// Faults between a writer and the service. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Network(Arc<Mutex<Faults>>);

#[derive(Default)]
pub(crate) struct Faults {
    /// The versions that reads of these labels return.
    pub(crate) labels: Vec<(Select, SecretVersion)>,
    /// Deliver every put and move twice, and return the second reply.
    pub(crate) twice: bool,
    /// Carry out every put, but answer with `ResourceExistsException`.
    pub(crate) exists: bool,
}

impl Network {
    pub(crate) fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.0.lock().unwrap());
    }

    /// Makes reads of both labels return their present versions from now on.
    pub(crate) async fn freeze_labels(&self, emulator: &Emulator) {
        for select in [Select::Current, Select::Previous] {
            if let Ok(version) = SecretsClient::get(emulator, "ksm-config", &select).await {
                self.set(|faults| faults.labels.push((select, version)));
            }
        }
    }

    fn stale(&self, select: &Select) -> Option<SecretVersion> {
        let faults = self.0.lock().unwrap();
        faults.labels.iter().find(|(label, _)| label == select).map(|(_, version)| version.clone())
    }
}

impl Interposed {
    /// Sleeps for a random time, so that other tasks run.
    async fn travel(&self) {
        let share = self.random.lock().unwrap().f64();
        tokio::time::sleep(self.latency.mul_f64(share)).await;
    }

    async fn pass<T>(&self, call: &str, answer: impl Future<Output = T>) -> T {
        self.travel().await;
        self.step(call);
        if self.hangs == Some(call) {
            pending::<()>().await;
        }
        let answer = answer.await;
        self.travel().await;
        answer
    }

    fn step(&self, call: &str) {
        let step = {
            let mut before = self.before.lock().unwrap();
            before.pop_front_if(|(name, _)| *name == call)
        };
        if let Some((_, step)) = step {
            step();
        }
    }
}

impl std::fmt::Debug for Interposed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Interposed")
    }
}

#[async_trait]
impl SecretsClient for Interposed {
    async fn get(&self, secret: &str, version: &Select) -> Result<SecretVersion, CallError> {
        let call = match version {
            Select::Current => "current",
            Select::Previous => "previous",
            Select::Label(_) => "label",
            Select::Id(_) => "slot",
        };
        let fresh = self.pass(call, SecretsClient::get(&self.emulator, secret, version)).await;
        self.network.stale(version).map_or(fresh, Ok)
    }

    async fn put(&self, put: &Put) -> Result<PutReply, CallError> {
        let (twice, exists) = {
            let faults = self.network.0.lock().unwrap();
            (faults.twice, faults.exists)
        };
        if twice || exists {
            let _ = SecretsClient::put(&self.emulator, put).await;
        }
        let reply = self.pass("put", SecretsClient::put(&self.emulator, put)).await;
        if exists { Err(CallError::answered(400, "ResourceExistsException")) } else { reply }
    }

    async fn create(&self, create: &Create) -> Result<(), CallError> {
        SecretsClient::create(&self.emulator, create).await
    }

    async fn move_current(&self, request: &MoveCurrent) -> Result<(), CallError> {
        let twice = self.network.0.lock().unwrap().twice;
        if twice {
            let _ = self.emulator.move_current(request).await;
        }
        self.pass("move", self.emulator.move_current(request)).await
    }

    async fn primary_region(&self, secret: &str) -> Result<Option<String>, CallError> {
        self.emulator.primary_region(secret).await
    }

    async fn versions(&self, secret: &str) -> Result<VersionList, CallError> {
        SecretsClient::versions(&self.emulator, secret).await
    }
}

pub(crate) struct Region {
    pub(crate) emulator: Emulator,
    pub(crate) secret: Secret,
    latency: Duration,
    random: Mutex<fastrand::Rng>,
}

impl Region {
    pub(crate) fn new(value: Option<&str>) -> Self {
        Self::with_latency(value, Duration::ZERO, 0)
    }

    /// Creates a region in which calls take up to `latency` each way. The test's clock must be paused.
    pub(crate) fn with_latency(value: Option<&str>, latency: Duration, seed: u64) -> Self {
        let emulator = Emulator::new("us-east-1");
        let secret = emulator.secret("ksm-config");
        secret.create();
        if let Some(value) = value {
            secret.overwrite(Value::Text(value.into()));
        }
        Self { emulator, secret, latency, random: Mutex::new(fastrand::Rng::with_seed(seed)) }
    }

    pub(crate) fn backend(&self, concurrency: Concurrency) -> AwsSecretBackend {
        self.interposed(concurrency, [])
    }

    pub(crate) fn interposed(
        &self,
        concurrency: Concurrency,
        before: impl IntoIterator<Item = (&'static str, Interference)>,
    ) -> AwsSecretBackend {
        let before = before.into_iter().collect();
        Self::over(concurrency, Interposed { before: Mutex::new(before), ..self.client() })
    }

    /// Opens a storage whose calls go through `network`.
    pub(crate) async fn storage_through(&self, concurrency: Concurrency, network: &Network) -> ConfigStorage {
        let client = Interposed { network: network.clone(), ..self.client() };
        ConfigStorage::open(Self::over(concurrency, client)).await.unwrap()
    }

    /// Creates an optimistic backend for which `call` is never answered.
    pub(crate) fn hanging(&self, call: &'static str) -> AwsSecretBackend {
        Self::over(Concurrency::Optimistic, Interposed { hangs: Some(call), ..self.client() })
    }

    fn client(&self) -> Interposed {
        let (emulator, before) = (self.emulator.clone(), Mutex::default());
        let random = Mutex::new(self.random.lock().unwrap().fork());
        let network = Network::default();
        Interposed { emulator, before, hangs: None, network, latency: self.latency, random }
    }

    fn over(concurrency: Concurrency, client: Interposed) -> AwsSecretBackend {
        let id = "ksm-config".parse().unwrap();
        AwsSecretBackend::new(Arc::new(client), id, "us-east-1", concurrency)
    }

    pub(crate) async fn storage(&self, concurrency: Concurrency) -> ConfigStorage {
        let builder = ConfigStorage::builder(self.backend(concurrency));
        builder.deadline(Duration::from_hours(1)).open().await.unwrap()
    }

    /// Stages a version as a strict writer does. Returns its move, which is still in flight.
    pub(crate) async fn hold(&self, stager: &AwsSecretBackend, base: &Version, json: &str) -> Interference {
        self.emulator.fail(Action::UpdateSecretVersionStage, [Fault::Before(ResponseFault::Hang)]);
        store(stager, base, json).await.unwrap_err();
        let newest = self.secret.versions().pop().unwrap().0;
        let (emulator, secret) = (self.emulator.clone(), "ksm-config".to_owned());
        let request = MoveCurrent { secret, to: newest, from: base.as_str().to_owned() };
        elsewhere_first(async move { emulator.move_current(&request).await.unwrap() })
    }

    pub(crate) fn current(&self) -> String {
        let value = self.secret.value("AWSCURRENT").unwrap();
        String::from_utf8(value.as_bytes().to_vec()).unwrap().trim_end().to_owned()
    }

    pub(crate) fn calls(&self) -> [usize; 3] {
        [Action::GetSecretValue, Action::PutSecretValue, Action::UpdateSecretVersionStage]
            .map(|action| self.emulator.calls(action))
    }
}

pub(crate) async fn store(
    backend: &AwsSecretBackend,
    expected: &Version,
    json: &str,
) -> Result<StoreOutcome> {
    backend.store(expected, &Payload::from(json)).await
}

pub(crate) fn committed(outcome: StoreOutcome) -> (Version, Displaced) {
    match outcome {
        StoreOutcome::Committed { version, displaced } => (version, displaced),
        StoreOutcome::Conflict { .. } => panic!("a conflict"),
    }
}

pub(crate) fn foreign(region: &Region) -> Interference {
    let secret = region.secret.clone();
    Box::new(move || drop(secret.overwrite(Value::Text(r#"{"foreign":1}"#.into()))))
}

/// Returns a step that carries out `work` while the caller's clock is paused.
pub(crate) fn elsewhere_first(work: impl Future<Output = ()> + Send + 'static) -> Interference {
    Box::new(move || {
        std::thread::spawn(move || Runtime::new().unwrap().block_on(work)).join().unwrap();
    })
}
