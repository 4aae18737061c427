//! The storage as programs use it, with the real SDK over HTTP: creation, retries, refusals.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, retry::RetryConfig};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, future},
};
use futures_util::FutureExt;
use ksm_storage_aws::{
    AwsSecretStorage, AwsStorageBuilder, Concurrency, Put, SdkClient, SecretsClient, Select,
};
use ksm_storage_core::{ConfigKey, ErrorKind, Outcome, Payload};
use ksm_storage_emulator::{Action, Emulator, Fault, ResponseFault, Server, Value, fixture::sdk_config};
use tokio::{
    io::{AsyncReadExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

/// Not `ksm-config`, which could be a name with a random suffix, and is read twice before it counts as missing.
const NAME: &str = "team/ksm";

async fn serve() -> Server {
    Server::start(Emulator::new("us-east-1")).await.unwrap()
}

async fn serve_with(value: &str) -> Server {
    let server = serve().await;
    server.emulator().secret(NAME).overwrite(Value::Text(value.into()));
    server
}

fn builder(server: &Server) -> AwsStorageBuilder {
    AwsSecretStorage::from_sdk_config(NAME, &sdk_config(&server.url()))
}

fn stored(server: &Server) -> String {
    let value = server.emulator().secret(NAME).value("AWSCURRENT").unwrap();
    std::str::from_utf8(value.as_bytes()).unwrap().trim_end().to_owned()
}

/// The number of gets, puts and creates.
fn calls(server: &Server) -> [usize; 3] {
    [Action::GetSecretValue, Action::PutSecretValue, Action::CreateSecret]
        .map(|action| server.emulator().calls(action))
}

#[tokio::test]
async fn user_agent_names_this_crate() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let opening = tokio::spawn(AwsSecretStorage::from_sdk_config(NAME, &sdk_config(&url)).open());
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    opening.abort();
    let agent = String::from_utf8(head)
        .unwrap()
        .lines()
        .find(|line| line.starts_with("user-agent:"))
        .unwrap()
        .to_owned();
    assert!(agent.contains(" app/ksm-storage"), "{agent}");
}

#[tokio::test]
async fn neighbours_leave_the_retry_quota_alone() {
    let server = serve_with("{}").await;
    let hasty = Duration::from_millis(1);
    let retries = RetryConfig::standard().with_initial_backoff(hasty).with_max_backoff(hasty);
    let config = aws_sdk_secretsmanager::config::Builder::from(&sdk_config(&server.url()))
        .retry_config(retries.with_max_attempts(200))
        .build();
    // A plain client of the same service and region, which retries until the process-wide retry quota is used up.
    let neighbour = aws_sdk_secretsmanager::Client::from_conf(config);
    server.emulator().fail(Action::GetSecretValue, vec![Fault::refuse("ThrottlingException"); 200]);
    neighbour.get_secret_value().secret_id(NAME).send().await.unwrap_err();
    let [sent, ..] = calls(&server);
    assert!((30..200).contains(&sent), "{sent} requests");

    server.emulator().clear_faults();
    server.emulator().fail(Action::GetSecretValue, [Fault::Before(ResponseFault::Status(503))]);
    builder(&server).open().await.unwrap();
    assert_eq!(calls(&server)[0], sent + 2);
    drop(neighbour);
}

#[tokio::test]
async fn missing_secret_is_not_created() {
    let server = serve().await;
    let error = builder(&server).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("aws secretsmanager create-secret"), "{error}");
    assert_eq!(calls(&server), [1, 0, 0]);
}

#[tokio::test]
async fn create_if_missing_creates_and_opens() {
    let server = serve().await;
    let storage = builder(&server).create_if_missing().kms_key_id("alias/ksm").open().await.unwrap();
    assert!(storage.is_empty());
    assert_eq!((stored(&server).as_str(), calls(&server)), ("{}", [2, 0, 1]));
    let described = aws_sdk_secretsmanager::Client::new(&sdk_config(&server.url())).describe_secret();
    assert_eq!(described.secret_id(NAME).send().await.unwrap().kms_key_id(), Some("alias/ksm"));
    storage.set(ConfigKey::Url, "x").await.unwrap();
    builder(&server).create_if_missing().open().await.unwrap();
    assert_eq!(server.emulator().calls(Action::CreateSecret), 1);
}

#[tokio::test]
async fn only_absence_creates() {
    for code in ["AccessDeniedException", "DecryptionFailure", "InvalidParameterException"] {
        let server = serve().await;
        server.emulator().deny(Action::GetSecretValue, code);
        let error = builder(&server).create_if_missing().open().await.unwrap_err();
        assert_ne!(error.kind(), ErrorKind::NotFound);
        assert_eq!(server.emulator().calls(Action::CreateSecret), 0, "{code}");
    }
    let server = serve_with("{}").await;
    server.emulator().secret(NAME).mark_for_deletion();
    let error = builder(&server).create_if_missing().open().await.unwrap_err();
    assert!(error.to_string().contains("aws secretsmanager restore-secret"), "{error}");
    assert_eq!(server.emulator().calls(Action::CreateSecret), 0);
}

#[tokio::test]
async fn denied_creation_names_the_action() {
    let server = serve().await;
    server.emulator().deny(Action::CreateSecret, "AccessDeniedException");
    let error = builder(&server).create_if_missing().open().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::AccessDenied, Outcome::NotApplied));
    assert!(error.to_string().contains("secretsmanager:CreateSecret"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_creators_share_one_secret() {
    let server = Arc::new(serve().await);
    let opening: Vec<_> = (0..8)
        .map(|_| {
            let server = Arc::clone(&server);
            tokio::spawn(async move { builder(&server).create_if_missing().open().await.unwrap() })
        })
        .collect();
    for storage in opening {
        assert!(storage.await.unwrap().is_empty());
    }
    assert_eq!(server.emulator().secret(NAME).versions().len(), 1);
}

#[tokio::test]
async fn lost_creation_reply_is_recovered() {
    let server = serve().await;
    server.emulator().fail(Action::CreateSecret, [Fault::After(ResponseFault::Reset)]);
    assert!(builder(&server).create_if_missing().open().await.unwrap().is_empty());
}

#[tokio::test]
async fn refused_retry_leaves_put_unknown() {
    let refused = [Fault::refuse("ThrottlingException"), Fault::refuse("ThrottlingException")];
    for (lost, outcome) in [
        (Fault::After(ResponseFault::Reset), None),
        (Fault::Before(ResponseFault::Reset), Some(Outcome::Unknown)),
    ] {
        let server = serve_with("{}").await;
        let storage = builder(&server).open().await.unwrap();
        server.emulator().fail(Action::PutSecretValue, [lost].into_iter().chain(refused.clone()));
        let set = storage.set(ConfigKey::Url, "x").await;
        assert_eq!(server.emulator().calls(Action::PutSecretValue), 2);
        assert_eq!(set.map_err(|error| error.outcome()).err(), outcome);
        assert_eq!(stored(&server) != "{}", outcome.is_none());
    }
}

/// The backend retries them itself; the SDK does not.
#[tokio::test]
async fn sdk_repeats_no_throttled_call() {
    let server = serve_with("{}").await;
    let client = SdkClient::new(&sdk_config(&server.url()));
    let throttled = || std::iter::repeat_n(Fault::refuse("ThrottlingException"), 10);
    server.emulator().fail(Action::GetSecretValue, throttled());
    server.emulator().fail(Action::PutSecretValue, throttled());
    let put = Put { secret: NAME.into(), token: "0".repeat(32), value: "{}".into(), label: None };
    let error = client.put(&put).await.unwrap_err();
    assert!(error.code.as_deref() == Some("ThrottlingException") && !error.unanswered, "{error:?}");
    client.get(NAME, &Select::Current).await.unwrap_err();
    assert_eq!(calls(&server), [1, 1, 0]);
}

#[tokio::test]
async fn missing_behavior_version_is_supplied() {
    let server = serve_with("{}").await;
    let config = sdk_config(&server.url());
    let bare = aws_config::SdkConfig::builder()
        .endpoint_url(server.url())
        .region(Region::new("us-east-1"))
        .credentials_provider(config.credentials_provider().unwrap())
        .build();
    assert!(AwsSecretStorage::from_sdk_config(NAME, &bare).open().await.unwrap().is_empty());
}

#[test]
fn open_without_runtime_fails() {
    let opening = AwsSecretStorage::from_custom_config(NAME, "AKIA", "key", "us-east-1").open();
    let error = opening.now_or_never().unwrap().unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Runtime, Outcome::NotApplied));
}

#[test]
fn invalid_id_stays_hidden() {
    let builder = AwsSecretStorage::new("US:s3cret");
    assert!(!format!("{builder:?}").contains("s3cret"));
    assert!(format!("{:?}", AwsSecretStorage::new("team/ksm")).contains("team/ksm"));
}

#[tokio::test]
async fn open_ends_at_its_deadline() {
    let server = serve_with("{}").await;
    server.emulator().fail(Action::GetSecretValue, [Fault::Before(ResponseFault::Hang)]);
    let deadline = Duration::from_millis(200);
    let error = builder(&server).deadline(deadline).open().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::NotApplied));
    assert!(error.to_string().contains("team/ksm"), "{error}");
    builder(&server).deadline(Duration::MAX).open().await.unwrap();
    builder(&server).deadline(Duration::MAX).open_backend().await.unwrap();
    // The secret may still be created afterwards.
    let server = serve().await;
    server.emulator().fail(Action::CreateSecret, [Fault::Before(ResponseFault::Hang)]);
    let error = builder(&server).create_if_missing().deadline(deadline).open().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::Unknown));
    assert!(error.to_string().contains("team/ksm"), "{error}");
}

#[tokio::test]
async fn settings_of_other_modes_are_rejected() {
    let builder = AwsSecretStorage::from_custom_config(NAME, "AKIA", "key", "us-east-1").without_fallback();
    assert_eq!(builder.open().await.unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[tokio::test]
async fn empty_secret_is_initialized_once() {
    let server = serve().await;
    server.emulator().secret(NAME).create();
    let (one, other) = tokio::join!(
        builder(&server).create_if_missing().open(),
        builder(&server).create_if_missing().open()
    );
    assert!(one.unwrap().is_empty() && other.unwrap().is_empty());
    assert_eq!((stored(&server).as_str(), server.emulator().secret(NAME).versions().len()), ("{}", 1));
}

#[tokio::test]
async fn version_quota_is_not_retried() {
    let server = serve_with("{}").await;
    let storage = builder(&server).open().await.unwrap();
    server.emulator().deny(Action::PutSecretValue, "LimitExceededException");
    let error = storage.set(ConfigKey::Url, "x").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::QuotaExceeded, Outcome::NotApplied));
    assert!(error.to_string().contains("24 hours"), "{error}");
    assert_eq!(server.emulator().calls(Action::PutSecretValue), 1);
}

#[tokio::test]
async fn a_failing_service_is_tried_again() {
    let server = serve_with("{}").await;
    server.emulator().fail(Action::GetSecretValue, [Fault::Before(ResponseFault::Status(503)); 1]);
    let storage = builder(&server).open().await.unwrap();
    assert_eq!(server.emulator().calls(Action::GetSecretValue), 2);
    server.emulator().fail(Action::PutSecretValue, [Fault::Before(ResponseFault::Status(500))]);
    storage.set(ConfigKey::Url, "x").await.unwrap();
    assert_eq!(storage.get(ConfigKey::Url).unwrap().expose_secret(), "x");
}

#[tokio::test]
async fn binary_value_becomes_text() {
    let server = serve().await;
    let binary = Value::Binary(Payload::from(r#"{"hostname": "h"}"#));
    server.emulator().secret(NAME).overwrite(binary);
    let storage = builder(&server).open().await.unwrap();
    assert_eq!(storage.get(ConfigKey::Hostname).unwrap().expose_secret(), "h");
    storage.set(ConfigKey::Url, "x").await.unwrap();
    let read = aws_sdk_secretsmanager::Client::new(&sdk_config(&server.url()));
    let read = read.get_secret_value().secret_id(NAME).send().await.unwrap();
    assert!(read.secret_binary().is_none() && read.secret_string().unwrap().contains("hostname"));
}

#[tokio::test]
async fn oversized_value_is_not_sent() {
    for concurrency in [Concurrency::Optimistic, Concurrency::Strict] {
        let server = serve_with("{}").await;
        let storage = builder(&server).concurrency(concurrency).open().await.unwrap();
        let error = storage.set(ConfigKey::Url, "x".repeat(65_536)).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::TooLarge, Outcome::NotApplied));
        assert_eq!(server.emulator().calls(Action::PutSecretValue), 0);
        // A payload of the maximum size fits even with the nonce.
        let limit = storage.capabilities().max_payload.unwrap();
        let around = r#"{"url": ""}"#.len() + "\n    \n".len();
        storage.set(ConfigKey::Url, "x".repeat(limit - around)).await.unwrap();
        let whole = server.emulator().secret(NAME).value("AWSCURRENT").unwrap();
        assert!(whole.as_bytes().len() <= 65_536 && whole.as_bytes().len() > 65_500);
    }
}

#[tokio::test]
async fn denied_verification_is_no_failure() {
    let server = serve_with("{}").await;
    let storage = builder(&server).open().await.unwrap();
    // The load succeeds, but the read after the put is refused.
    let refuse = Fault::refuse("AccessDeniedException");
    server.emulator().fail(Action::GetSecretValue, [Fault::Delay(Duration::ZERO), refuse]);
    storage.set(ConfigKey::Url, "x").await.unwrap();
    assert_eq!(calls(&server), [3, 1, 0]);
}

#[tokio::test]
async fn a_replica_names_its_primary_region() {
    let server = serve_with("{}").await;
    server.emulator().secret(NAME).replicate_from("eu-west-1");
    let storage = builder(&server).open().await.unwrap();
    let error = storage.set(ConfigKey::Url, "x").await.unwrap_err();
    assert!(error.to_string().contains("eu-west-1"), "{error}");
    assert_eq!(error.outcome(), Outcome::NotApplied);
}

/// Credentials that count how often they are requested.
#[derive(Clone, Debug, Default)]
struct Counting(Arc<AtomicUsize>);

impl ProvideCredentials for Counting {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        self.0.fetch_add(1, Ordering::Relaxed);
        let soon = std::time::SystemTime::now() + Duration::from_hours(1);
        future::ProvideCredentials::ready(Ok(Credentials::new("AKIA", "key", None, Some(soon), "test")))
    }
}

/// Forwards connections, and counts them.
async fn counted(server: &Server) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let behind = server.url().trim_start_matches("http://").to_owned();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            let behind = behind.clone();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(behind).await.unwrap();
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (url, connections)
}

#[tokio::test]
async fn storages_share_one_sdk_config() {
    let server = serve_with("{}").await;
    let (url, connections) = counted(&server).await;
    let credentials = Counting::default();
    let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials.clone())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(&url)
        .load()
        .await;
    for _ in 0..10 {
        AwsSecretStorage::from_sdk_config(NAME, &config).open().await.unwrap();
    }
    assert_eq!(server.emulator().calls(Action::GetSecretValue), 10);
    assert_eq!(credentials.0.load(Ordering::Relaxed), 1);
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}
