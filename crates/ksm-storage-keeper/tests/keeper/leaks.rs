//! No error, event, `Debug` output or panic of the bridge shows a secret.

use std::{
    env,
    fmt::Debug,
    fs,
    process::{Command, Stdio},
    task::{Context, Poll, Waker},
    time::Duration,
};

use ksm_storage_core::{ConfigKey, ExposeSecret, blocking::ConfigStorage};
use ksm_storage_emulator::{
    Action, Fault as AwsFault,
    keeper::{AppKeyPolicy, Fault},
};
use ksm_storage_keeper::{
    Error, ErrorKind, KeeperClient, KeyValueAdapter,
    blocking::KeeperClient as BlockingClient,
    sdk::{KSMRError, KeyValueStorage, config_keys::ConfigKeys},
};

use ksm_storage_testkit::canary::{canary, is_shown, shows};

use crate::support::World;

/// Compares the output of a child with the secrets that it must not print. The child writes those to a file.
#[test]
fn nothing_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = folder.path().join("secrets");
    let output = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "leaks::child", "--nocapture"])
        .env_clear()
        .env("SECRETS", &secrets)
        .env("RUST_BACKTRACE", "full")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && text.contains("TRACE") && text.contains("on purpose"), "{text}");
    for kind in kinds() {
        assert!(text.contains(&format!("kind: {kind},")), "no error of the kind {kind}:\n{text}");
    }
    let secrets: Vec<Vec<u8>> = fs::read_to_string(secrets).unwrap().lines().map(from_hex).collect();
    assert!(secrets.len() > 20, "too few secrets");
    for line in text.lines() {
        let shown = is_shown(line) || secrets.iter().any(|secret| shows(line, secret));
        assert!(!shown, "a secret is shown: {line}");
    }
}

fn from_hex(line: &str) -> Vec<u8> {
    let digits: Vec<_> = line.chars().map(|digit| digit.to_digit(16).unwrap()).collect();
    digits.chunks_exact(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
}

fn to_hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// The error kinds listed in the source. A new one needs an error here.
fn kinds() -> Vec<&'static str> {
    let source = include_str!("../../src/error.rs");
    let (_, list) = source.split_once("pub enum ErrorKind {\n").unwrap();
    let (list, _) = list.split_once("\n}").unwrap();
    let names = list.lines().map(str::trim).filter(|line| !line.starts_with("///"));
    let kinds: Vec<_> = names.map(|line| line.trim_end_matches(',')).collect();
    assert!(kinds.contains(&"AccessDenied") && kinds.contains(&"Unreachable"));
    kinds
}

fn show(what: impl Debug) {
    println!("{what:?} {what:#?}");
}

fn show_error(error: Error, kind: ErrorKind) {
    assert_eq!(error.kind(), kind);
    println!("{error} {:?}", error.code());
    show(error.storage_error());
    show(error.unsaved());
    show(error);
}

fn stored() -> String {
    format!(r#"{{"appUid": "{}", "bat": "{}"}}"#, canary("unknown"), canary("bat"))
}

/// Provokes every kind of error, and prints every `Debug`, for clients with a configuration full of secrets.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run as a child process by the other tests"]
async fn child() {
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(std::io::stdout).init();
    let (world, elsewhere) =
        (World::new(AppKeyPolicy::Once, &stored()), World::new(AppKeyPolicy::Once, "{}"));
    let tokens: Vec<_> = (0..4).map(|_| world.keeper.issue_token()).collect();
    let foreign = elsewhere.keeper.issue_token();
    let fails = async |token: &str, kind| show_error(world.open(token).await.unwrap_err(), kind);

    show_error(world.start().await.unwrap_err(), ErrorKind::Unbound);
    fails(&canary("token"), ErrorKind::InvalidToken).await;
    let hostless =
        KeeperClient::builder().token(&*tokens[0]).proxy_url(format!("http://u:{}@p:1", canary("proxy")));
    show(&hostless);
    show_error(hostless.open(world.storage().await).await.unwrap_err(), ErrorKind::InvalidToken);
    let misconfigured =
        world.builder().hostname(format!("u:{}@h", canary("host"))).open(world.storage().await);
    show_error(misconfigured.await.unwrap_err(), ErrorKind::InvalidArgument);
    let proxied = world.builder().proxy_url(format!("u:{}@p:1", canary("proxy"))).open(world.storage().await);
    show_error(proxied.await.unwrap_err(), ErrorKind::InvalidArgument);
    world.store(&format!(r#"{{"{}": "{}"}}"#, canary("name"), canary("value")));
    fails(&tokens[0], ErrorKind::InvalidConfig).await;
    world.store(&format!(r#"{{"clientId": "{}", "privateKey": "x"}}"#, canary("id")));
    show_error(world.start().await.unwrap_err(), ErrorKind::InvalidConfig);
    world.store(&format!(r#"{{"appKey": "{0}", "clientId": "{0}", "privateKey": "{0}"}}"#, canary("key")));
    show_error(world.start().await.unwrap_err(), ErrorKind::InvalidConfig);
    world.store(&stored());
    fails(&foreign, ErrorKind::TokenSpent).await;
    world.store(&stored());
    world.aws.deny(Action::PutSecretValue, "AccessDeniedException");
    fails(&tokens[0], ErrorKind::Storage).await;
    world.aws.allow_all();
    world.keeper.fail_next([Fault::Throttle, Fault::Unreachable]);
    fails(&tokens[0], ErrorKind::Throttled).await;
    fails(&tokens[0], ErrorKind::Unreachable).await;
    let client = world.open(&tokens[0]).await.unwrap();
    fails(&tokens[1], ErrorKind::TokenMismatch).await;
    let mut secrets = values(&world).await;

    let quoting = |_: &mut _| Err::<(), _>(KSMRError::CustomError(canary("quoted")));
    show_error(client.call(quoting).await.unwrap_err(), ErrorKind::Sdk);
    let panicking =
        |_: &mut _| -> Result<(), KSMRError> { std::panic::resume_unwind(Box::new(canary("raised"))) };
    let called = client.clone();
    assert!(tokio::spawn(async move { called.call(panicking).await }).await.unwrap_err().is_panic());
    let with_values = |sdk: &mut ksm_storage_keeper::sdk::SecretsManager| -> Result<(), KSMRError> {
        let value = sdk.config.get(ConfigKeys::KeyPrivateKey)?;
        assert!(value.is_none(), "on purpose");
        Ok(())
    };
    let called = client.clone();
    assert!(tokio::spawn(async move { called.call(with_values).await }).await.unwrap_err().is_panic());
    world.keeper.fail_next([Fault::Omit("records")]);
    show_error(client.get_secrets(&[]).await.unwrap_err(), ErrorKind::Panicked);
    let notation = format!("keeper://{}/field/x", canary("notation"));
    println!(
        "{}",
        client.get_notation(&notation).await.unwrap_err().to_string().replace(&canary("notation"), "")
    );
    show_error(without_runtime(client.clone()), ErrorKind::Runtime);
    show(&client);
    world.keeper.revoke_all();
    show_error(client.get_secrets(&[]).await.unwrap_err(), ErrorKind::AccessDenied);

    let refuse = AwsFault::refuse("AccessDeniedException");
    world.aws.fail(Action::PutSecretValue, [AwsFault::Delay(Duration::ZERO), refuse]);
    let token = world.keeper.issue_token();
    let rebind = world.builder().token(&*token).rebind(world.storage().await);
    show_error(rebind.await.unwrap_err(), ErrorKind::NotSaved);
    secrets.extend(values(&world).await);

    tokio::task::spawn_blocking(move || blocking(&elsewhere, &foreign)).await.unwrap();
    secrets.extend(tokens.into_iter().chain([token]).map(to_hex));
    fs::write(env::var("SECRETS").unwrap(), secrets.join("\n")).unwrap();
}

/// The stored secrets (without the host and the server's public key), and those of the service.
async fn values(world: &World) -> Vec<String> {
    let document = world.stored().await;
    let public = [ConfigKey::Hostname, ConfigKey::ServerPublicKey, ConfigKey::ServerPublicKeyId];
    let secret = ConfigKey::ALL.iter().filter(|key| !public.contains(key));
    let values = secret.filter_map(|key| Some(to_hex(document.get(*key)?.expose_secret())));
    values.chain(world.keeper.secrets().into_iter().map(to_hex)).collect()
}

fn without_runtime(client: KeeperClient) -> Error {
    let thread = std::thread::spawn(move || {
        let mut call = std::pin::pin!(client.call(|_| Ok(())));
        match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Err(error)) => error,
            _ => panic!("it needs a runtime"),
        }
    });
    thread.join().unwrap()
}

fn blocking(world: &World, token: &str) {
    let storage = ConfigStorage::open(world.backend()).unwrap();
    let client = BlockingClient::open(world.builder().token(token), storage.clone()).unwrap();
    show(&client);
    let mut adapter = KeyValueAdapter::new(storage);
    show(&adapter);
    world.aws.deny(Action::PutSecretValue, "AccessDeniedException");
    show(adapter.set(ConfigKeys::KeyClientId, canary("client")).unwrap_err());
}
