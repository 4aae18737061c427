//! Opening, loading and storing, cancelled at every await point.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "these are tests")]

use std::{
    env,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use ksm_storage_aws::{
    AwsSecretBackend, AwsSecretStorage, AwsStorageBuilder, CallError, Concurrency, Create, MoveCurrent, Put,
    PutReply, SecretVersion, SecretsClient, Select, VersionList,
};
use ksm_storage_core::{ConfigKey, Payload, StorageBackend, StoreOutcome, Stored, Version};
use ksm_storage_emulator::{Action, Emulator, Server, Value, fixture::sdk_config};
use ksm_storage_testkit::TestClock;
use tokio::{process::Command, task::yield_now, time::timeout};

const NAME: &str = "ksm-config";
const BOTH: [Concurrency; 2] = [Concurrency::Optimistic, Concurrency::Strict];
/// The number of times that each service call yields before it is carried out, and again after.
const PAUSES: usize = 3;

/// The emulator with delayed answers.
#[derive(Debug)]
struct Slow(Emulator);

async fn slowly<T>(answer: impl Future<Output = T>) -> T {
    for _ in 0..PAUSES {
        yield_now().await;
    }
    let answer = answer.await;
    for _ in 0..PAUSES {
        yield_now().await;
    }
    answer
}

#[async_trait]
impl SecretsClient for Slow {
    async fn get(&self, secret: &str, version: &Select) -> Result<SecretVersion, CallError> {
        slowly(SecretsClient::get(&self.0, secret, version)).await
    }

    async fn put(&self, put: &Put) -> Result<PutReply, CallError> {
        slowly(SecretsClient::put(&self.0, put)).await
    }

    async fn create(&self, create: &Create) -> Result<(), CallError> {
        slowly(SecretsClient::create(&self.0, create)).await
    }

    async fn move_current(&self, request: &MoveCurrent) -> Result<(), CallError> {
        slowly(SecretsClient::move_current(&self.0, request)).await
    }

    async fn primary_region(&self, secret: &str) -> Result<Option<String>, CallError> {
        slowly(SecretsClient::primary_region(&self.0, secret)).await
    }

    async fn versions(&self, secret: &str) -> Result<VersionList, CallError> {
        slowly(SecretsClient::versions(&self.0, secret)).await
    }
}

/// Polls the future up to `polls` times, each time it is woken, and then drops it.
async fn drop_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future: Pin<&mut F> = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        let polled = future.as_mut().poll(context).map(Some);
        if left == 0 && polled.is_pending() { Poll::Ready(None) } else { polled }
    })
    .await
}

struct World {
    emulator: Emulator,
    concurrency: Concurrency,
}

impl World {
    fn new(concurrency: Concurrency, value: Option<&str>) -> Self {
        let emulator = Emulator::new("us-east-1");
        match value {
            Some(value) => drop(emulator.secret(NAME).overwrite(Value::Text(value.into()))),
            None => drop(emulator.secret(NAME).create()),
        }
        Self { emulator, concurrency }
    }

    fn backend(&self) -> AwsSecretBackend {
        let (client, id) = (Arc::new(Slow(self.emulator.clone())), NAME.parse().unwrap());
        let clock = Arc::new(TestClock::new());
        AwsSecretBackend::with_clock(client, id, "us-east-1", self.concurrency, clock)
    }
}

async fn commit(backend: &AwsSecretBackend, expected: &Version, value: &str) -> Version {
    match backend.store(expected, &value.into()).await.unwrap() {
        StoreOutcome::Committed { version, .. } => version,
        StoreOutcome::Conflict { .. } => panic!("refused"),
    }
}

#[tokio::test]
async fn a_dropped_load_leaves_nothing_behind() {
    for concurrency in BOTH {
        let mut polls = 0;
        loop {
            let world = World::new(concurrency, Some("old"));
            let backend = world.backend();
            let ended = drop_after(polls, backend.load()).await;
            let loaded = backend.load().await.unwrap();
            assert_eq!(loaded.payload(), Some(&Payload::from("old")));
            commit(&backend, loaded.version(), "new").await;
            if ended.is_some() {
                break;
            }
            polls += 1;
        }
        assert!(polls >= 2 * PAUSES, "{polls}");
    }
}

/// Covers a secret with a value and one without, followed by a write through the same handle or another one.
#[tokio::test]
async fn dropped_store_applies_at_most_once() {
    for (concurrency, old) in BOTH.into_iter().flat_map(|it| [(it, Some("old")), (it, None)]) {
        let (mut made, mut polls) = (Vec::new(), 0);
        loop {
            let world = World::new(concurrency, old);
            let backend = world.backend();
            let base = backend.load().await.unwrap().version().clone();
            let ended = drop_after(polls, backend.store(&base, &"new".into())).await;

            let next = if polls % 2 == 0 { backend } else { world.backend() };
            let loaded = next.load().await.unwrap();
            let new = loaded.payload() == Some(&Payload::from("new"));
            assert!(new || loaded.payload() == old.map(Payload::from).as_ref(), "{:?}", loaded.payload());
            assert_eq!(new, *loaded.version() != base);
            if new {
                // It took effect once: no other version is based on the same base.
                let again = next.store(&base, &"again".into()).await.unwrap();
                assert!(matches!(again, StoreOutcome::Conflict { .. }));
            }
            let version = commit(&next, loaded.version(), "next").await;
            let after = next.load().await.unwrap();
            assert_eq!(after, Stored::present(version, "next"));
            made.push(new);
            if let Some(outcome) = ended {
                assert!(matches!(outcome.unwrap(), StoreOutcome::Committed { .. }));
                break;
            }
            polls += 1;
        }
        assert!(polls >= 2 * PAUSES, "{concurrency:?}: {polls}");
        assert!(made.is_sorted() && made.contains(&true) && made.contains(&false), "{made:?}");
    }
}

/// The same over HTTP, where a request that was sent is carried out even if its sender is dropped.
#[tokio::test]
async fn dropped_open_creates_empty_or_nothing() {
    let mut polls = 0;
    loop {
        let server = Server::start(Emulator::new("us-east-1")).await.unwrap();
        let builder =
            || AwsSecretStorage::from_sdk_config(NAME, &sdk_config(&server.url())).create_if_missing();
        let ended = drop_after(polls, Box::pin(builder().open())).await;
        let value = server.emulator().secret(NAME).value("AWSCURRENT");
        assert!(value.is_none_or(|value| value.as_bytes().starts_with(b"{}")));
        works(builder()).await;
        assert!(server.emulator().secret(NAME).versions().len() <= 2);
        if let Some(storage) = ended {
            assert_eq!(storage.unwrap().refresh().await.unwrap().document().names().count(), 1);
            break;
        }
        polls += 1;
    }
    assert!(polls >= 3 * 2, "{polls}: three calls, of some polls each");
}

#[tokio::test]
async fn dropped_open_changes_nothing() {
    for create in [false, true] {
        let mut polls = 0;
        loop {
            let server = Server::start(Emulator::new("us-east-1")).await.unwrap();
            let secret = server.emulator().secret(NAME);
            secret.overwrite(Value::Text(r#"{"url": "old"}"#.into()));
            let builder = || {
                let builder = AwsSecretStorage::from_sdk_config(NAME, &sdk_config(&server.url()));
                if create { builder.create_if_missing() } else { builder }
            };
            let ended = drop_after(polls, Box::pin(builder().open())).await.is_some();
            assert_eq!(secret.versions().len(), 1);
            assert_eq!(server.emulator().calls(Action::PutSecretValue), 0);
            works(builder()).await;
            if ended {
                break;
            }
            polls += 1;
        }
        assert!(polls >= 2, "{polls}");
    }
}

/// The child process. Its environment has the address of the metadata service, which provides region and credentials.
#[tokio::test]
#[ignore = "run as a child process by the other tests"]
async fn child() {
    let builder =
        || AwsSecretStorage::from_ec2_instance_config(NAME).endpoint_url(env::var("CHILD_URL").unwrap());
    let mut polls = 0;
    loop {
        let Some(backend) = drop_after(polls, Box::pin(builder().open_backend())).await else {
            polls += 1;
            continue;
        };
        // Construction alone does not read the secret.
        backend.unwrap().load().await.unwrap();
        break;
    }
    assert!(polls >= 2 * 2, "{polls}: two calls, of some polls each");
    works(builder()).await;
    println!("child has ended");
}

#[tokio::test]
async fn dropped_connect_leaves_nothing() {
    let server = Server::start(Emulator::new("us-east-1")).await.unwrap();
    server.emulator().secret(NAME).overwrite(Value::Text("{}".into()));
    server.metadata().set_role(Some(["AKIA", "key", "token"]));
    let child = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "child", "--nocapture"])
        .env_clear()
        .env("CHILD_URL", server.url())
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url())
        .kill_on_drop(true)
        .output();
    let output = timeout(Duration::from_mins(1), child).await.unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("child has ended"), "{output:?}");
    // One load by the child itself, one to open, and those of a write and a refresh.
    assert_eq!(server.emulator().calls(Action::GetSecretValue), 1 + 1 + 2 + 1);
}

async fn works(builder: AwsStorageBuilder) {
    let storage = builder.open().await.unwrap();
    storage.set(ConfigKey::AppKey, "later").await.unwrap();
    assert!(storage.refresh().await.unwrap().contains(ConfigKey::AppKey));
}
