//! Requests that are never sent: nothing is applied, no attempt is counted, and the reason determines the error kind.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

use std::{
    io::Read,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use aws_credential_types::provider::{
    ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future,
};
use aws_sdk_secretsmanager::config::{
    BehaviorVersion, Builder, Credentials, Region, retry::RetryConfig, timeout::TimeoutConfig,
};
use ksm_storage_aws::{
    AwsSecretBackend, AwsSecretStorage, CallError, Concurrency, Create, Failure, MoveCurrent, Put, SdkClient,
    SecretsClient, Select,
};
use ksm_storage_core::{ErrorKind, Outcome, Payload, StorageBackend, Version};
use tokio::runtime;

const TOKEN: &str = "00000000-0000-0000-0000-000000000000";

fn config(endpoint: &str) -> Builder {
    aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("AKIA", "key", None, None, "test"))
        .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(1)))
        .endpoint_url(endpoint)
}

/// A port that refuses connections.
fn closed() -> String {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    format!("http://{address}")
}

/// Calls every method of the client.
async fn calls(client: &SdkClient) -> [CallError; 5] {
    let value = Payload::from("{}".to_owned());
    let [secret, name] = ["ksm"; 2].map(str::to_owned);
    let put = Put { secret: secret.clone(), token: TOKEN.to_owned(), value: value.clone(), label: None };
    let create = Create { name, token: TOKEN.to_owned(), value, kms_key_id: None };
    let to_move = MoveCurrent { secret, to: TOKEN.to_owned(), from: TOKEN.to_owned() };
    [
        client.get("ksm", &Select::Current).await.unwrap_err(),
        client.put(&put).await.unwrap_err(),
        client.create(&create).await.unwrap_err(),
        client.move_current(&to_move).await.unwrap_err(),
        client.primary_region("ksm").await.unwrap_err(),
    ]
}

#[tokio::test]
async fn refused_connections_send_nothing() {
    let client = SdkClient::new(config(&closed()));
    for error in calls(&client).await {
        assert_eq!(error.failure, Failure::Disconnected);
        assert!(!error.sent && !error.unanswered, "{error:?}");
        assert!(error.to_string().ends_with(": the connection was refused"), "{error}");
    }
    let id = "ksm".parse().unwrap();
    for concurrency in [Concurrency::Optimistic, Concurrency::Strict] {
        let backend =
            AwsSecretBackend::new(Arc::new(client.clone()), Clone::clone(&id), "us-east-1", concurrency);
        let error = backend.store(&Version::new("v"), &Payload::from("{}".to_owned())).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::NotApplied), "{error}");
    }
}

/// The SDK's endpoint rules reject FIPS with a custom endpoint, and its signer rejects the credential.
#[tokio::test]
async fn unbuildable_requests_are_invalid() {
    let port = closed();
    let broken = |id: &str, token: Option<&str>| {
        config(&port).credentials_provider(Credentials::new(
            id,
            "key",
            token.map(str::to_owned),
            None,
            "test",
        ))
    };
    for (config, is_credential) in [
        (config(&port).use_fips(true), false),
        (config("localhost:18081"), false),
        (config("\"http://localhost\""), false),
        (broken("AKIA\r", None), true),
        (broken("", None), true),
        (broken("AKIA", Some("token\n")), true),
    ] {
        for error in calls(&SdkClient::new(config)).await {
            let expected = match &error.failure {
                Failure::NotBuilt(_) => !is_credential,
                Failure::NoCredentials(_) => is_credential,
                _ => false,
            };
            assert!(expected && !error.sent && !error.unanswered, "{error:?}");
        }
    }
}

/// The SDK asserts that an endpoint is not empty.
#[tokio::test]
async fn sdk_panics_become_errors() {
    for error in calls(&SdkClient::new(config(""))).await {
        assert_eq!(error.failure, Failure::Panicked("a call of the AWS SDK"));
        assert!(!error.sent && !error.unanswered, "{error:?}");
    }
    let client = Arc::new(SdkClient::new(config("")));
    let backend = AwsSecretBackend::new(client, "ksm".parse().unwrap(), "us-east-1", Concurrency::Optimistic);
    let error = backend.store(&Version::new("v"), &Payload::from("{}".to_owned())).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unexpected, Outcome::NotApplied), "{error}");
    assert!(error.to_string().contains("panicked during a call of the AWS SDK"), "{error}");
}

/// A server that reads the first request and then disappears.
fn gone_after_one() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        drop(listener);
        let _ = stream.read(&mut [0; 16]);
    });
    address
}

#[tokio::test]
async fn sent_requests_stay_unanswered() {
    let address = gone_after_one();
    let retry = RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(1));
    let client = SdkClient::new(config(&format!("http://{address}")).retry_config(retry));
    let value = Payload::from("{}".to_owned());
    let put = Put { secret: "ksm".to_owned(), token: TOKEN.to_owned(), value, label: None };
    let error = client.put(&put).await.unwrap_err();
    // The last attempt found no server; the first may have been carried out.
    assert!(error.sent && error.unanswered, "{error:?}");
}

/// A source that never ends, of the caller's own configuration.
#[derive(Debug)]
struct Stuck;

impl ProvideCredentials for Stuck {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(std::future::pending())
    }
}

#[tokio::test]
async fn slow_credentials_are_named() {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_millis(500)).build();
    let config = config(&closed()).credentials_provider(Stuck).timeout_config(timeouts);
    for error in calls(&SdkClient::new(config)).await {
        assert_eq!(error.failure, Failure::TimedOut);
        assert!(!error.sent && !error.unanswered, "{error:?}");
        assert_eq!(error.to_string(), "no credentials were obtained in time");
        assert!(error.hint.unwrap().contains("aws sts get-caller-identity"));
    }
}

/// The caller's own source, which blocks its thread until the sender is dropped.
#[derive(Debug)]
struct Blocking {
    end: Mutex<mpsc::Receiver<()>>,
    entered: AtomicUsize,
}

impl ProvideCredentials for Blocking {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        self.entered.fetch_add(1, Ordering::SeqCst);
        let _ = self.end.lock().unwrap().recv_timeout(Duration::from_secs(20));
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("never")))
    }
}

#[test]
fn blocking_credentials_keep_no_call() {
    for mut runtime in [runtime::Builder::new_current_thread(), runtime::Builder::new_multi_thread()] {
        let runtime = runtime.enable_all().build().unwrap();
        let (end, receiver) = mpsc::channel();
        let provider = Arc::new(Blocking { end: Mutex::new(receiver), entered: AtomicUsize::new(0) });
        let shared = SharedCredentialsProvider::new(Arc::clone(&provider) as Arc<dyn ProvideCredentials>);
        let sdk = aws_config::SdkConfig::builder()
            .region(Region::new("us-east-1"))
            .endpoint_url(closed())
            .credentials_provider(shared.clone())
            .build();
        let start = Instant::now();
        runtime.block_on(async {
            let open = AwsSecretStorage::from_sdk_config("ksm", &sdk).deadline(Duration::from_secs(1)).open();
            let error = open.await.unwrap_err();
            assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::NotApplied), "{error}");

            let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(1)).build();
            let client = config(&closed()).credentials_provider(shared).timeout_config(timeouts);
            for error in calls(&SdkClient::new(client)).await {
                assert_eq!(error.to_string(), "no credentials were obtained in time");
                assert!(!error.sent, "{error:?}");
            }

            let backend = AwsSecretStorage::from_sdk_config("ksm", &sdk).open_backend().await.unwrap();
            let connection = backend.connection().unwrap();
            let entered = async {
                while provider.entered.load(Ordering::SeqCst) < 3 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::select! {
                checked = connection.check_credentials() => panic!("{checked:?}"),
                () = entered => {}
            }
            let (version, payload) = (Version::new("v"), Payload::from("{}".to_owned()));
            for _ in 0..20 {
                let limit = Duration::from_millis(20);
                tokio::time::timeout(limit, connection.check_credentials()).await.unwrap_err();
                tokio::time::timeout(limit, connection.identity()).await.unwrap_err();
                let store = backend.store(&version, &payload);
                tokio::time::timeout(limit, store).await.unwrap_err();
            }
        });
        drop(runtime);
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
        // At most one thread of a client or connection waits for the source.
        assert_eq!(provider.entered.load(Ordering::SeqCst), 3);
        drop(end);
    }
}

/// The caller's own source, which ends its thread: it panics, and so does the end of its panic's message.
#[derive(Debug)]
struct Fatal;

struct Message;

impl Drop for Message {
    fn drop(&mut self) {
        panic!("s3cret");
    }
}

impl ProvideCredentials for Fatal {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        std::panic::panic_any(Message)
    }
}

#[tokio::test]
async fn ended_threads_are_no_timeout() {
    for error in calls(&SdkClient::new(config(&closed()).credentials_provider(Fatal))).await {
        assert_eq!(error.to_string(), "the source of the credentials failed");
        assert!(matches!(error.failure, Failure::NoCredentials(_)) && !error.sent, "{error:?}");
    }
}

/// The caller's own source, which needs a runtime, or panics.
#[derive(Debug)]
struct Async(&'static str);

impl ProvideCredentials for Async {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            tokio::spawn(async {}).await.unwrap();
            assert!(!self.0.is_empty(), "s3cret");
            Ok(Credentials::new(self.0, "key", None, None, "test"))
        })
    }
}

#[test]
fn own_credentials_have_a_runtime() {
    for mut runtime in [runtime::Builder::new_current_thread(), runtime::Builder::new_multi_thread()] {
        runtime.enable_all().build().unwrap().block_on(async {
            let found = |id| SdkClient::new(config(&closed()).credentials_provider(Async(id)));
            for error in calls(&found("AKIA")).await {
                assert_eq!(error.failure, Failure::Disconnected, "{error}");
            }
            for error in calls(&found("")).await {
                assert!(error.to_string().contains("panicked during credential resolution"), "{error}");
                assert!(!error.sent, "{error:?}");
            }
        });
    }
}
