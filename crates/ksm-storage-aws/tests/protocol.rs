//! The write protocol, step by step and at random, over the emulator in process.
#![allow(missing_docs)]

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use ksm_storage_aws::{
    AwsSecretBackend, CallError, Concurrency, Create, MoveCurrent, Put, PutReply, SecretVersion,
    SecretsClient, Select,
    emulator::{Action, Break, Emulator, Fault, Secret, Value},
};
use ksm_storage_core::{
    Clock, ConfigKey::Url, ConfigStorage, Displaced, Error, ErrorKind, ExposeSecret, Outcome, Payload,
    Result, StorageBackend, StoreOutcome, Version,
};
use ksm_storage_testkit::TestClock;
use proptest::prelude::*;
use tokio::runtime::Runtime;

const BOTH: [Concurrency; 2] = [Concurrency::Optimistic, Concurrency::Strict];

/// Time that passes as others take their steps: a pause of 5 ms lets every other task take one. So two seconds are longer
/// than whatever a writer does in one go, as the protocol assumes.
#[derive(Clone, Debug)]
struct Steps(TestClock);

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

type Step = Box<dyn FnOnce() + Send>;

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

struct Region {
    emulator: Emulator,
    secret: Secret,
    clock: Steps,
}

impl Region {
    fn new(value: Option<&str>) -> Self {
        let emulator = Emulator::new("us-east-1");
        let secret = emulator.secret("ksm-config");
        secret.create();
        if let Some(value) = value {
            secret.overwrite(Value::Text(value.into()));
        }
        Self { emulator, secret, clock: Steps(TestClock::new()) }
    }

    fn backend(&self, concurrency: Concurrency) -> AwsSecretBackend {
        self.interposed(concurrency, [])
    }

    fn interposed(
        &self,
        concurrency: Concurrency,
        before: impl IntoIterator<Item = (&'static str, Step)>,
    ) -> AwsSecretBackend {
        let before = Mutex::new(before.into_iter().collect());
        let client = Arc::new(Interposed { emulator: self.emulator.clone(), before });
        let id = "ksm-config".parse().unwrap();
        AwsSecretBackend::with_clock(client, id, "us-east-1", concurrency, Arc::new(self.clock.clone()))
    }

    async fn storage(&self, concurrency: Concurrency) -> ConfigStorage {
        let builder = ConfigStorage::builder(self.backend(concurrency)).clock(self.clock.clone());
        builder.deadline(Duration::from_hours(1)).open().await.unwrap()
    }

    fn current(&self) -> String {
        let value = self.secret.value("AWSCURRENT").unwrap();
        String::from_utf8(value.as_bytes().to_vec()).unwrap().trim_end().to_owned()
    }

    fn calls(&self) -> [usize; 3] {
        [Action::GetSecretValue, Action::PutSecretValue, Action::UpdateSecretVersionStage]
            .map(|action| self.emulator.calls(action))
    }
}

async fn store(backend: &AwsSecretBackend, expected: &Version, json: &str) -> Result<StoreOutcome> {
    backend.store(expected, &Payload::from(json)).await
}

fn committed(outcome: StoreOutcome) -> (Version, Displaced) {
    match outcome {
        StoreOutcome::Committed { version, displaced } => (version, displaced),
        StoreOutcome::Conflict { .. } => panic!("a conflict"),
    }
}

#[tokio::test]
async fn equal_contents_of_two_writers_do_not_both_win() {
    for (one, other) in BOTH.iter().flat_map(|&one| BOTH.map(|other| (one, other))) {
        let region = Region::new(Some("{}"));
        let (one, other) = (region.backend(one), region.backend(other));
        let version = one.load().await.unwrap().version;
        assert_eq!(other.load().await.unwrap().version, version);
        committed(store(&one, &version, r#"{"n":1}"#).await.unwrap());
        let outcome = store(&other, &version, r#"{"n":1}"#).await.unwrap();
        assert!(matches!(outcome, StoreOutcome::Conflict { .. }), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_lost_reply_is_found_out() {
    for concurrency in BOTH {
        for how in Break::ALL {
            let region = Region::new(Some("{}"));
            let backend = region.backend(concurrency);
            let version = backend.load().await.unwrap().version;
            region.emulator.fail(Action::PutSecretValue, [Fault::After(how)]);
            region.emulator.fail(Action::UpdateSecretVersionStage, [Fault::After(how)]);
            let (version, _) = committed(store(&backend, &version, r#"{"n":1}"#).await.unwrap());
            assert_eq!(backend.load().await.unwrap().version, version, "{how:?}");
            assert_eq!(region.current(), r#"{"n":1}"#);
        }
    }
}

#[tokio::test]
async fn a_lost_reply_whose_version_was_built_upon_is_still_ours() {
    for concurrency in BOTH {
        let region = Region::new(Some("{}"));
        let elsewhere = region.backend(Concurrency::Optimistic);
        let step: Step = {
            let elsewhere = elsewhere.clone();
            // Between the lost put and the look at its slot, another writer builds on it.
            Box::new(move || {
                let build = async move {
                    let version = elsewhere.load().await.unwrap().version;
                    committed(store(&elsewhere, &version, r#"{"n":2}"#).await.unwrap());
                };
                std::thread::spawn(move || Runtime::new().unwrap().block_on(build)).join().unwrap();
            })
        };
        let backend = region.interposed(concurrency, [("slot", step)]);
        let version = backend.load().await.unwrap().version;
        let action = match concurrency {
            Concurrency::Optimistic => Action::PutSecretValue,
            Concurrency::Strict => Action::UpdateSecretVersionStage,
        };
        region.emulator.fail(action, [Fault::After(Break::Reset)]);
        committed(store(&backend, &version, r#"{"n":1}"#).await.unwrap());
        assert_eq!(region.current(), r#"{"n":2}"#);
    }
}

#[tokio::test]
async fn a_put_that_may_still_arrive_is_unknown_and_a_stage_that_may_is_not_applied() {
    for (concurrency, outcome) in
        [(Concurrency::Optimistic, Outcome::Unknown), (Concurrency::Strict, Outcome::NotApplied)]
    {
        let region = Region::new(Some("{}"));
        let backend = region.backend(concurrency);
        let version = backend.load().await.unwrap().version;
        region.emulator.fail(Action::PutSecretValue, [Fault::Before(Break::Hang)]);
        let error = store(&backend, &version, r#"{"n":1}"#).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, outcome));
        assert_eq!(region.current(), "{}");
    }
}

#[tokio::test]
async fn a_move_that_may_still_arrive_is_unknown() {
    let region = Region::new(Some("{}"));
    let backend = region.backend(Concurrency::Strict);
    let version = backend.load().await.unwrap().version;
    region.emulator.fail(Action::UpdateSecretVersionStage, [Fault::Before(Break::Status(500))]);
    let error = store(&backend, &version, r#"{"n":1}"#).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::Unknown));
}

#[tokio::test]
async fn a_rollback_does_not_stop_writes() {
    for concurrency in BOTH {
        let region = Region::new(Some("{}"));
        let backend = region.backend(concurrency);
        let first = backend.load().await.unwrap().version;
        for round in 1..=3 {
            committed(store(&backend, &first, &format!(r#"{{"n":{round}}}"#)).await.unwrap());
            let before = region.clock_now();
            assert!(region.secret.roll_back(first.as_str()));
            assert_eq!(region.current(), "{}");
            assert!(round == 1 || before >= Duration::from_secs(2), "a slot was skipped after {before:?}");
        }
    }
}

impl Region {
    fn clock_now(&self) -> Duration {
        self.clock.now()
    }
}

#[tokio::test]
async fn a_crashed_stager_does_not_stop_writes() {
    for concurrency in BOTH {
        let region = Region::new(Some("{}"));
        let crashing = region.backend(Concurrency::Strict);
        let version = crashing.load().await.unwrap().version;
        region.emulator.fail(Action::UpdateSecretVersionStage, [Fault::Before(Break::Hang)]);
        store(&crashing, &version, r#"{"lost":1}"#).await.unwrap_err();
        let backend = region.backend(concurrency);
        let version = backend.load().await.unwrap().version;
        committed(store(&backend, &version, r#"{"n":1}"#).await.unwrap());
        assert_eq!(region.current(), r#"{"n":1}"#);
    }
}

#[tokio::test]
async fn a_stale_read_is_no_burnt_slot() {
    for concurrency in BOTH {
        let region = Region::new(Some("{}"));
        let (one, other) = (region.backend(concurrency), region.backend(concurrency));
        let version = other.load().await.unwrap().version;
        one.load().await.unwrap();
        committed(store(&one, &version, r#"{"n":1}"#).await.unwrap());
        // Every further read of the loser is stale.
        region.emulator.read_stale(100);
        let outcome = store(&other, &version, r#"{"n":2}"#).await.unwrap();
        assert_eq!(outcome, StoreOutcome::Conflict { current: None });
        assert_eq!(region.current(), r#"{"n":1}"#);
    }
}

#[tokio::test]
async fn two_initialisers_of_an_empty_secret_collide() {
    for (one, other) in BOTH.iter().flat_map(|&one| BOTH.map(|other| (one, other))) {
        let region = Region::new(None);
        let (one, other) = (region.backend(one), region.backend(other));
        let stored = one.load().await.unwrap();
        assert_eq!(stored.payload, None);
        assert_eq!(other.load().await.unwrap(), stored);
        committed(store(&one, &stored.version, "{}").await.unwrap());
        let outcome = store(&other, &stored.version, "{}").await.unwrap();
        assert!(matches!(outcome, StoreOutcome::Conflict { .. }), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_secret_made_anew_under_its_name_is_another_one() {
    let region = Region::new(Some("{}"));
    let backend = region.backend(Concurrency::Optimistic);
    let version = backend.load().await.unwrap().version;
    region.secret.remove();
    region.secret.overwrite(Value::Text("{}".into()));
    assert_eq!(backend.load().await.unwrap_err().kind(), ErrorKind::NotFound);
    let error = store(&backend, &version, r#"{"n":1}"#).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::NotFound, Outcome::NotApplied));
    assert_eq!(region.current(), "{}");
}

#[tokio::test]
async fn a_foreign_write_before_the_load_is_respected() {
    for concurrency in BOTH {
        let region = Region::new(Some("{}"));
        let backend = region.backend(concurrency);
        backend.load().await.unwrap();
        region.secret.overwrite(Value::Binary(r#"{"foreign":1}"#.into()));
        let loaded = backend.load().await.unwrap();
        assert_eq!(loaded.payload, Some(r#"{"foreign":1}"#.into()));
        let (_, displaced) = committed(store(&backend, &loaded.version, r#"{"n":1}"#).await.unwrap());
        assert_eq!(displaced, Displaced::Nothing);
    }
}

fn foreign(region: &Region) -> Step {
    let secret = region.secret.clone();
    Box::new(move || drop(secret.overwrite(Value::Text(r#"{"foreign":1}"#.into()))))
}

#[tokio::test]
async fn a_foreign_write_after_the_load_is_reported_or_prevented() {
    let region = Region::new(Some("{}"));
    let backend = region.interposed(Concurrency::Optimistic, [("put", foreign(&region))]);
    let version = backend.load().await.unwrap().version;
    let (_, displaced) = committed(store(&backend, &version, r#"{"n":1}"#).await.unwrap());
    let Displaced::Foreign { version, inspect } = displaced else { panic!("not reported: {displaced:?}") };
    let arn = region.secret.arn().unwrap();
    assert_eq!(
        inspect.unwrap(),
        format!("aws secretsmanager get-secret-value --secret-id {arn} --version-id {version}")
    );
    assert!(region.secret.versions().iter().any(|(id, _)| id == version.as_str()));

    for before in ["put", "move"] {
        let region = Region::new(Some("{}"));
        let backend = region.interposed(Concurrency::Strict, [(before, foreign(&region))]);
        let version = backend.load().await.unwrap().version;
        let outcome = store(&backend, &version, r#"{"n":1}"#).await.unwrap();
        assert!(matches!(outcome, StoreOutcome::Conflict { current: Some(_) }), "{outcome:?}");
        assert_eq!(region.current(), r#"{"foreign":1}"#);
    }
}

/// A foreign write just before ours, and another write just after: what we displaced can no longer be seen.
#[tokio::test]
async fn the_window_that_cannot_be_decided_is_said_to_be_so() {
    let region = Region::new(Some("{}"));
    let steps = [("put", foreign(&region)), ("previous", foreign(&region))];
    let backend = region.interposed(Concurrency::Optimistic, steps);
    let version = backend.load().await.unwrap().version;
    let (_, displaced) = committed(store(&backend, &version, r#"{"n":1}"#).await.unwrap());
    assert_eq!(displaced, Displaced::Unverified);
}

#[tokio::test]
async fn a_check_that_fails_does_not_fail_the_write() {
    let region = Region::new(Some("{}"));
    let backend = region.backend(Concurrency::Optimistic);
    let version = backend.load().await.unwrap().version;
    region.emulator.deny(Action::GetSecretValue, "AccessDeniedException");
    let (_, displaced) = committed(store(&backend, &version, r#"{"n":1}"#).await.unwrap());
    assert_eq!(displaced, Displaced::Unverified);
    assert_eq!(region.calls()[1], 1, "the write was made twice");
}

#[tokio::test]
async fn a_replica_names_its_primary_region() {
    let region = Region::new(Some("{}"));
    let storage = region.storage(Concurrency::Optimistic).await;
    region.secret.replicate_from("eu-central-1");
    let error = storage.set(Url, "x").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::ReadOnly, Outcome::NotApplied));
    assert!(error.to_string().contains("eu-central-1"), "{error}");
}

#[tokio::test]
async fn the_version_quota_is_an_error_of_its_own() {
    let region = Region::new(Some("{}"));
    for _ in 0..110 {
        region.secret.overwrite(Value::Text("{}".into()));
    }
    let storage = region.storage(Concurrency::Optimistic).await;
    let error = storage.set(Url, "x").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Throttled, Outcome::NotApplied));
    assert!(error.to_string().contains("24 hours"), "{error}");
    region.emulator.advance(Duration::from_hours(24));
    storage.set(Url, "x").await.unwrap();
}

#[tokio::test]
async fn a_suffixed_name_is_found_by_its_name_and_checked() {
    let region = Region::new(Some("{}"));
    let arn = region.secret.arn().unwrap();
    let suffixed = arn.rsplit(':').next().unwrap().to_owned();
    let open = async |id: &str| {
        let client = Arc::new(region.emulator.clone());
        let backend =
            AwsSecretBackend::new(client, id.parse().unwrap(), "us-east-1", Concurrency::Optimistic);
        ConfigStorage::open(backend).await
    };
    open(&suffixed).await.unwrap();
    open(&arn).await.unwrap();
    open(arn.strip_suffix(&suffixed[suffixed.len() - 7..]).unwrap()).await.unwrap();
    assert_eq!(open("ksm-config-zzzzzz").await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn calls_are_counted() {
    for (concurrency, write) in [(Concurrency::Optimistic, [2, 1, 0]), (Concurrency::Strict, [1, 1, 1])] {
        let region = Region::new(Some("{}"));
        let storage = region.storage(concurrency).await;
        let mut before = region.calls();
        assert_eq!(before, [1, 0, 0], "open");
        let mut since = || {
            let now = region.calls();
            let calls = [0, 1, 2].map(|index| now[index] - before[index]);
            before = now;
            calls
        };
        storage.set(Url, "x").await.unwrap();
        assert_eq!(since(), write, "set");
        storage.set(Url, "x").await.unwrap();
        assert_eq!(since(), [1, 0, 0], "set of what is there");
        let refreshes: Vec<_> = (0..1000)
            .map(|_| {
                tokio::spawn({
                    let storage = storage.clone();
                    async move { storage.refresh().await }
                })
            })
            .collect();
        for refresh in refreshes {
            refresh.await.unwrap().unwrap();
        }
        assert!(since()[0] <= 2, "1,000 concurrent refreshes");
        let writes: Vec<_> = (0..1000)
            .map(|n| {
                tokio::spawn({
                    let storage = storage.clone();
                    async move { storage.set(Url, n.to_string()).await }
                })
            })
            .collect();
        for write in writes {
            write.await.unwrap().unwrap();
        }
        let puts = since()[1];
        assert!((1..=10).contains(&puts), "1,000 concurrent writes made {puts} puts");
    }
}

/// Adds one, and says whether it was: `None` if that is not known.
async fn increment(storage: &ConfigStorage) -> Option<bool> {
    let change = |document: &mut ksm_storage_core::ConfigDocument| {
        let count: u32 = document.get(Url).map_or(0, |value| value.expose_secret().parse().unwrap());
        document.set(Url, (count + 1).to_string());
        Ok::<_, Error>(())
    };
    match storage.update(change).await {
        Ok(()) => Some(true),
        Err(error) => match error.outcome() {
            Outcome::NotApplied => Some(false),
            Outcome::Applied => Some(true),
            Outcome::Unknown => None,
        },
    }
}

fn count(json: &str) -> u32 {
    let document = ksm_storage_core::ConfigDocument::parse(json.as_bytes()).unwrap();
    document.get(Url).map_or(0, |value| value.expose_secret().parse().unwrap())
}

async fn run_increments(seed: u64, writers: &[Concurrency], percent: u8, stale: u32) {
    let region = Region::new(Some("{}"));
    region.emulator.lift_version_quota();
    let mut tasks = Vec::new();
    for &concurrency in writers {
        let storage = region.storage(concurrency).await;
        tasks.push(tokio::spawn(async move {
            let mut results = Vec::new();
            for _ in 0..10 {
                results.push(increment(&storage).await);
            }
            results
        }));
    }
    region.emulator.chaos(seed, percent);
    region.emulator.read_stale(stale);
    let mut results = Vec::new();
    for task in tasks {
        results.extend(task.await.unwrap());
    }
    let sure = u32::try_from(results.iter().filter(|result| **result == Some(true)).count()).unwrap();
    let unknown = u32::try_from(results.iter().filter(|result| result.is_none()).count()).unwrap();
    let found = count(&region.current());
    assert!(
        (sure..=sure + unknown).contains(&found),
        "{sure} acknowledged, {unknown} unknown, {found} found; {:?}",
        region.secret.versions()
    );
    if percent == 0 {
        assert_eq!(unknown, 0);
        assert!(sure > 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn acknowledged_increments_are_never_lost(
        seed in any::<u64>(),
        writers in proptest::collection::vec(prop_oneof![Just(BOTH[0]), Just(BOTH[1])], 2..5),
        percent in prop_oneof![Just(0u8), 1u8..25],
        stale in 0u32..6,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run_increments(seed, &writers, percent, stale));
    }
}

/// Without a foreign writer nothing is ever reported as displaced, however many writers of ours there are.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn own_writers_never_displace_each_other() {
    let region = Arc::new(Region::new(Some("{}")));
    region.emulator.lift_version_quota();
    let writers = [0; 3].map(|_| {
        let backend = region.backend(Concurrency::Optimistic);
        tokio::spawn(async move {
            let mut commits = 0;
            while commits < 50 {
                let version = backend.load().await.unwrap().version;
                match store(&backend, &version, &format!(r#"{{"n":{commits}}}"#)).await.unwrap() {
                    StoreOutcome::Committed { displaced, .. } => {
                        assert!(!matches!(displaced, Displaced::Foreign { .. }), "{displaced:?}");
                        commits += 1;
                    }
                    StoreOutcome::Conflict { .. } => {}
                }
            }
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
}
