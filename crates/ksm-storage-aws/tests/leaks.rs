//! No secret is printed, with every log event enabled and under every fault of the emulator.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::{env, num::NonZeroU32, sync::Arc, time::Duration};

use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use ksm_storage_aws::{
    AwsSecretBackend, AwsSecretStorage, Concurrency, Create, MoveCurrent, Put, SdkClient, SecretsClient,
    Select,
};
use ksm_storage_core::{
    ConfigKey::{self, Url},
    ConfigStorage, Payload, StorageBackend, Version,
};
use ksm_storage_emulator::{Action, Emulator, Fault, ResponseFault, Server, Value};
use ksm_storage_testkit::{
    TestClock,
    canary::{canary, is_shown},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    process::Command,
};

/// The child process, which exercises everything and prints every event.
#[tokio::test]
#[ignore = "run as a child process by the other tests"]
async fn child() {
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(std::io::stdout).init();
    let key = env::var("CHILD_KEY").unwrap();
    let builder = AwsSecretStorage::from_ec2_instance_config(key)
        .endpoint_url(env::var("CHILD_URL").unwrap())
        .without_fallback()
        .max_attempts(NonZeroU32::MIN)
        .attempt_timeout(Duration::from_millis(500));
    println!("{builder:?}");
    match builder.open().await {
        Err(error) => println!("open: {error} {error:?} {error:#?}"),
        Ok(storage) => {
            let value = storage.get(ConfigKey::Hostname).unwrap().expose_secret().replace("-1-", "-2-");
            println!("{storage:?} {:?}", storage.snapshot());
            println!("set: {:?}", storage.set(Url, value).await);
            println!("refresh: {:?}", storage.refresh().await);
            println!("{storage:#?}");
        }
    }
    println!("child has ended");
}

async fn run_child(server: &Server) -> String {
    run_test("child", &server.url()).await
}

async fn run_test(child: &str, url: &str) -> String {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", child, "--nocapture"])
        .env_clear()
        .env("CHILD_URL", url)
        .env("CHILD_KEY", "ksm-config")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
        .env("RUST_BACKTRACE", "full")
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_mins(1), output).await.unwrap().unwrap();
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(text.contains("child has ended") && text.contains("TRACE"), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_shows_a_canary() {
    let fresh = async || {
        let emulator = Emulator::new("us-east-1");
        let json = format!(
            r#"{{"hostname":"{}","privateKey":"{}","other":["{}"]}}"#,
            canary(1),
            canary(3),
            canary(4)
        );
        emulator.secret("ksm-config").overwrite(Value::Text(json.as_str().into()));
        let server = Server::start(emulator).await.unwrap();
        let [key, token] = [canary(5), canary(6)];
        server.metadata().set_role(Some(["ASIA", &key, &token]));
        server.metadata().set_token(&canary(7));
        server
    };
    let server = fresh().await;
    let text = run_child(&server).await;
    assert!(text.contains("set: Ok"), "{text}");
    assert!(!is_shown(&text), "{text}");

    let mut shown = Vec::new();
    let mut check = |what: String, text: &str| {
        if is_shown(text) {
            let lines: Vec<_> = text.lines().filter(|line| is_shown(line)).map(str::to_owned).collect();
            shown.push((what, lines));
        }
    };
    for how in ResponseFault::ALL {
        let server = fresh().await;
        server.metadata().set_fault(Some(how));
        check(format!("metadata, {how:?}"), &run_child(&server).await);
        for (action, calls_before) in
            [(Action::GetSecretValue, 0), (Action::GetSecretValue, 1), (Action::PutSecretValue, 0)]
        {
            for fault in [Fault::Before(how), Fault::After(how)] {
                let server = fresh().await;
                let wait = (0..calls_before).map(|_| Fault::Delay(Duration::ZERO));
                server.emulator().fail(action, wait.chain([fault.clone(), fault.clone()]));
                check(format!("{action:?}, {fault:?}"), &run_child(&server).await);
            }
        }
    }
    assert!(shown.is_empty(), "{shown:#?}");
}

/// Every error code listed in the crate's source, and an unknown one.
fn codes() -> Vec<&'static str> {
    let source = include_str!("../src/error.rs");
    let (_, mapping) = source.split_once("fn answered(").unwrap();
    let (mapping, _) = mapping.split_once("\n}").unwrap();
    let quoted = mapping.split('"').skip(1).step_by(2);
    let is_code = |text: &&str| {
        text.starts_with(char::is_uppercase) && text.len() > 5 && text.chars().all(char::is_alphabetic)
    };
    let codes: Vec<_> = quoted.filter(is_code).chain(["NeverHeardOf"]).collect();
    assert!(codes.len() > 30 && codes.contains(&"SlowDown"), "{codes:?}");
    codes
}

/// Starts a service that refuses every request with the error code in the secret's name, and quotes a canary.
async fn refusing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"}") {
                    let mut chunk = [0; 4096];
                    let Ok(count @ 1..) = stream.read(&mut chunk).await else { return };
                    request.extend_from_slice(&chunk[..count]);
                }
                let request = String::from_utf8(request).unwrap();
                let named = codes().into_iter().find(|code| request.contains(&format!("\"{code}\"")));
                let (code, text) = (named.unwrap(), canary("quoted"));
                let body = format!(r#"{{"__type":"{code}","Message":"{text}","message":"{text}"}}"#);
                let head = "HTTP/1.1 400 Bad Request\r\nx-amzn-requestid: req-1\r\nconnection: close";
                let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    url
}

/// The child process in which every call of the client and the storage is refused with every code.
#[tokio::test]
#[ignore = "run as a child process by the other tests"]
async fn refused_child() {
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(std::io::stdout).init();
    let url = env::var("CHILD_URL").unwrap();
    let config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(Credentials::new("AKID", canary("key"), Some(canary("token")), None, "test"))
        .region(Region::new("us-east-1"))
        .retry_config(RetryConfig::disabled())
        .endpoint_url(&url);
    let client = Arc::new(SdkClient::new(config));
    for code in codes() {
        let (name, value) = (code.to_owned(), Payload::from(canary("value")));
        let token = "00000000-0000-0000-0000-000000000000".to_owned();
        let put = Put { secret: name.clone(), token: token.clone(), value: value.clone(), label: None };
        let create =
            Create { name: name.clone(), token: token.clone(), value: value.clone(), kms_key_id: None };
        let to_move = MoveCurrent { secret: name.clone(), to: token.clone(), from: token };
        let errors = [
            client.get(&name, &Select::Current).await.unwrap_err(),
            client.put(&put).await.unwrap_err(),
            client.create(&create).await.unwrap_err(),
            client.move_current(&to_move).await.unwrap_err(),
            client.primary_region(&name).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.code.as_deref(), Some(code));
            println!("{error} {error:?} {error:#?}");
        }
        for concurrency in [Concurrency::Optimistic, Concurrency::Strict] {
            let id = code.parse().unwrap();
            // Backoff pauses end at once.
            let clock = Arc::new(TestClock::new());
            let backend = AwsSecretBackend::with_clock(client.clone(), id, "us-east-1", concurrency, clock);
            println!("{:?} {:#?}", backend.load().await, backend.store(&Version::new("v"), &value).await);
            println!("{:?}", ConfigStorage::open(backend).await.unwrap_err());
        }
    }
    println!("child has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_never_quoted() {
    let text = run_test("refused_child", &refusing().await).await;
    for code in codes() {
        assert!(text.contains(&format!("code: Some(\"{code}\")")), "{code} was not met");
    }
    let shown = text.lines().find(|line| is_shown(line));
    assert!(shown.is_none(), "{shown:?}");
}
