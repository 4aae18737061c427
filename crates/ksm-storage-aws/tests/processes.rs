//! Several processes writing to one secret over HTTP with the real SDK. Writers that follow the protocol lose nothing;
//! writers that omit a part of it do.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::{env, process::Stdio, sync::Arc};

use async_trait::async_trait;
use ksm_storage_aws::{
    AwsSecretBackend, CallError, Concurrency, Create, MoveCurrent, Put, PutReply, SdkClient, SecretVersion,
    SecretsClient, Select, VersionList,
};
use ksm_storage_core::{
    ConfigDocument, ConfigKey::Url, ConfigStorage, Error, ErrorKind, ExposeSecret, Outcome, Payload,
};
use ksm_storage_emulator::{Emulator, Server, Value, fixture::sdk_config};
use tokio::process::{Child, Command};

const INCREMENTS: u32 = 25;

/// The write method of a child process.
const OPTIMISTIC: &str = "optimistic";
const STRICT: &str = "strict";
/// Optimistic, but without the nonce.
const WITHOUT_NONCE: &str = "without nonce";
/// Reads, changes and writes, without a condition.
const BLIND: &str = "blind";

/// A client that strips the nonce from puts.
#[derive(Debug)]
struct WithoutNonce(SdkClient);

#[async_trait]
impl SecretsClient for WithoutNonce {
    async fn get(&self, secret: &str, version: &Select) -> Result<SecretVersion, CallError> {
        self.0.get(secret, version).await
    }

    async fn put(&self, put: &Put) -> Result<PutReply, CallError> {
        let value = std::str::from_utf8(put.value.as_bytes()).unwrap().trim_end().into();
        self.0.put(&Put { value, ..put.clone() }).await
    }

    async fn create(&self, create: &Create) -> Result<(), CallError> {
        self.0.create(create).await
    }

    async fn move_current(&self, request: &MoveCurrent) -> Result<(), CallError> {
        self.0.move_current(request).await
    }

    async fn primary_region(&self, secret: &str) -> Result<Option<String>, CallError> {
        self.0.primary_region(secret).await
    }

    async fn versions(&self, secret: &str) -> Result<VersionList, CallError> {
        self.0.versions(secret).await
    }
}

fn add_one(document: &mut ConfigDocument) {
    let count: u32 = document.get(Url).map_or(0, |value| value.expose_secret().parse().unwrap());
    document.set(Url, (count + 1).to_string());
}

/// The work of a child process, configured by its environment.
#[tokio::test]
#[ignore = "run as a child process by the other tests"]
async fn child() {
    let client = SdkClient::new(&sdk_config(&env::var("CHILD_URL").unwrap()));
    let how = env::var("CHILD_HOW").unwrap();
    if how == BLIND {
        return increment_blindly(&client).await;
    }
    let concurrency = if how == STRICT { Concurrency::Strict } else { Concurrency::Optimistic };
    let client: Arc<dyn SecretsClient> =
        if how == WITHOUT_NONCE { Arc::new(WithoutNonce(client)) } else { Arc::new(client) };
    let backend = AwsSecretBackend::new(client, "ksm-config".parse().unwrap(), "us-east-1", concurrency);
    let storage = ConfigStorage::open(backend).await.unwrap();
    for _ in 0..INCREMENTS {
        while let Err(error) = storage
            .update(|document| {
                add_one(document);
                Ok::<_, Error>(())
            })
            .await
        {
            let contention = matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Timeout);
            assert!(contention && error.outcome() == Outcome::NotApplied, "{error}");
        }
    }
}

async fn increment_blindly(client: &SdkClient) {
    for number in 0..INCREMENTS {
        let current = client.get("ksm-config", &Select::Current).await.unwrap();
        let mut document = ConfigDocument::parse(current.value.as_bytes()).unwrap();
        add_one(&mut document);
        let token = format!("blind-{:020}-{number:020}", std::process::id());
        let put = Put { secret: "ksm-config".into(), token, value: document.to_payload(), label: None };
        client.put(&put).await.unwrap();
    }
}

fn spawn(url: &str, how: &str) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "child"])
        .env_clear()
        .env("CHILD_URL", url)
        .env("CHILD_HOW", how)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Returns the final count after four processes have made 25 increments each.
async fn count(how: [&str; 4]) -> u32 {
    let emulator = Emulator::new("us-east-1");
    emulator.set_version_quota(None);
    let secret = emulator.secret("ksm-config");
    secret.overwrite(Value::Text(Payload::from("{}")));
    let server = Server::start(emulator).await.unwrap();
    let children: Vec<_> = how.iter().map(|how| spawn(&server.url(), how)).collect();
    for child in children {
        let output = child.wait_with_output().await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }
    let document = ConfigDocument::parse(secret.value("AWSCURRENT").unwrap().as_bytes()).unwrap();
    document.get(Url).unwrap().expose_secret().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn optimistic_writers_lose_nothing() {
    assert_eq!(count([OPTIMISTIC; 4]).await, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn strict_writers_lose_nothing() {
    assert_eq!(count([STRICT; 4]).await, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_of_both_modes_lose_nothing() {
    assert_eq!(count([OPTIMISTIC, STRICT, OPTIMISTIC, STRICT]).await, 100);
}

/// Control: the test detects a loss.
#[tokio::test(flavor = "multi_thread")]
async fn blind_writers_lose_increments() {
    assert!(count([BLIND; 4]).await < 100);
}

/// Control: the nonce is what tells equal contents apart.
#[tokio::test(flavor = "multi_thread")]
async fn writers_without_a_nonce_lose_increments() {
    assert!(count([WITHOUT_NONCE; 4]).await < 100);
}
