//! A region of its own for each test, and writers in it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use ksm_storage_aws::{
    AwsSecretBackend, CallError, Concurrency, Create, MoveCurrent, Put, PutReply, SecretVersion,
    SecretsClient, Select,
    emulator::{Action, Emulator, Secret, Value},
};
use ksm_storage_core::{
    Clock, ConfigStorage, Displaced, Payload, Result, StorageBackend, StoreOutcome, Version,
};
use ksm_storage_testkit::TestClock;

pub(crate) const BOTH: [Concurrency; 2] = [Concurrency::Optimistic, Concurrency::Strict];

/// Time that passes as others take their steps: a pause of 5 ms lets every other task take one. So two seconds are longer
/// than whatever a writer does in one go, as the protocol assumes.
#[derive(Clone, Debug)]
pub(crate) struct Steps(TestClock);

#[async_trait]
impl Clock for Steps {
    fn now(&self) -> Duration {
        self.0.now()
    }

    async fn sleep(&self, duration: Duration) {
        for _ in 0..duration.as_millis() / 5 {
            tokio::task::yield_now().await;
        }
        self.0.advance(duration);
    }

    async fn alarm(&self, instant: Duration) {
        self.0.alarm(instant).await;
    }

    fn random(&self) -> u64 {
        self.0.random()
    }
}

pub(crate) type Step = Box<dyn FnOnce() + Send>;

/// The emulator, with something done just before the next call of a kind.
struct Interposed {
    emulator: Emulator,
    before: Mutex<VecDeque<(&'static str, Step)>>,
}

impl Interposed {
    fn pass(&self, call: &str) {
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
        self.pass(match version {
            Select::Current => "current",
            Select::Previous => "previous",
            Select::Label(_) => "label",
            Select::Id(_) => "slot",
        });
        SecretsClient::get(&self.emulator, secret, version).await
    }

    async fn put(&self, put: &Put) -> Result<PutReply, CallError> {
        self.pass("put");
        SecretsClient::put(&self.emulator, put).await
    }

    async fn create(&self, create: &Create) -> Result<(), CallError> {
        SecretsClient::create(&self.emulator, create).await
    }

    async fn move_current(&self, request: &MoveCurrent) -> Result<(), CallError> {
        self.pass("move");
        self.emulator.move_current(request).await
    }

    async fn primary_region(&self, secret: &str) -> Result<Option<String>, CallError> {
        self.emulator.primary_region(secret).await
    }
}

pub(crate) struct Region {
    pub(crate) emulator: Emulator,
    pub(crate) secret: Secret,
    pub(crate) clock: Steps,
}

impl Region {
    pub(crate) fn new(value: Option<&str>) -> Self {
        let emulator = Emulator::new("us-east-1");
        let secret = emulator.secret("ksm-config");
        secret.create();
        if let Some(value) = value {
            secret.overwrite(Value::Text(value.into()));
        }
        Self { emulator, secret, clock: Steps(TestClock::new()) }
    }

    pub(crate) fn backend(&self, concurrency: Concurrency) -> AwsSecretBackend {
        self.interposed(concurrency, [])
    }

    pub(crate) fn interposed(
        &self,
        concurrency: Concurrency,
        before: impl IntoIterator<Item = (&'static str, Step)>,
    ) -> AwsSecretBackend {
        let before = Mutex::new(before.into_iter().collect());
        let client = Arc::new(Interposed { emulator: self.emulator.clone(), before });
        let id = "ksm-config".parse().unwrap();
        AwsSecretBackend::with_clock(client, id, "us-east-1", concurrency, Arc::new(self.clock.clone()))
    }

    pub(crate) async fn storage(&self, concurrency: Concurrency) -> ConfigStorage {
        let builder = ConfigStorage::builder(self.backend(concurrency)).clock(self.clock.clone());
        builder.deadline(Duration::from_hours(1)).open().await.unwrap()
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

impl Region {
    pub(crate) fn clock_now(&self) -> Duration {
        self.clock.now()
    }
}

pub(crate) fn foreign(region: &Region) -> Step {
    let secret = region.secret.clone();
    Box::new(move || drop(secret.overwrite(Value::Text(r#"{"foreign":1}"#.into()))))
}
