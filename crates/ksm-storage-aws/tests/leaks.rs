//! Nothing secret is shown, with every log event on and every fault that the emulator knows.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::{env, num::NonZeroU32, time::Duration};

use ksm_storage_aws::{
    AwsSecretStorage,
    emulator::{Action, Break, Emulator, Fault, Server, Value},
};
use ksm_storage_core::ConfigKey::{self, Url};
use tokio::process::Command;

/// Never a whole one in this file, so that a search finds what leaked and nothing else.
const START: &str = "cAnArY";

fn canary(number: u32) -> String {
    format!("{START}-{number}-9f8e7d6c5b4a")
}

fn hex(text: &str) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap();
    text.bytes().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// In clear, in hex, and in base64 at each of the three offsets that bytes may have there.
fn is_shown(text: &str) -> bool {
    // "cAnArY" within base64, less what its neighbours change.
    let base64 = ["Y0FuQXJZ", "NBbkFyW", "jQW5Bcl"];
    let lower = text.to_lowercase();
    text.contains(START) || lower.contains(&hex(START)) || base64.iter().any(|part| text.contains(part))
}

#[test]
fn the_search_finds_what_it_looks_for() {
    assert!(is_shown(&canary(1)) && is_shown(&hex(&canary(1)).to_uppercase()));
    for text in ["Y0FuQXJZLTE=", "eGNBbkFyWS0x", "eHhjQW5BclktMQ=="] {
        assert!(is_shown(text), "{text}");
    }
    assert!(!is_shown("nothing here"));
}

/// What the child process does: everything, with every event printed.
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
    let output = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "child", "--nocapture"])
        .env_clear()
        .env("CHILD_URL", server.url())
        .env("CHILD_KEY", "ksm-config")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url())
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
    for how in Break::ALL {
        let server = fresh().await;
        server.metadata().break_off(Some(how));
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
