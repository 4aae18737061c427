//! The demo as a program of its own, in an empty environment.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use ksm_storage_emulator::{
    Action, Emulator, Server, Value,
    keeper::{AppKeyPolicy, FakeKeeper},
};
use ksm_storage_testkit::canary::shows;
use tokio::{io::AsyncWriteExt, process::Command};

/// The services that the demo takes for a real AWS account and a real Keeper service.
struct World {
    aws: Server,
    keeper: FakeKeeper,
    home: tempfile::TempDir,
}

impl World {
    async fn new(stored: &str) -> Self {
        let emulator = Emulator::new("eu-central-1");
        emulator.secret("team/ksm").overwrite(Value::Text(stored.into()));
        Self {
            aws: Server::start(emulator).await.unwrap(),
            keeper: FakeKeeper::start(AppKeyPolicy::Once).unwrap(),
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// The form of a token that brings the server's key with it.
    fn token(&self) -> String {
        format!("IL5:{}:901:{}", self.keeper.issue_token(), self.keeper.server_public_key())
    }

    async fn run(&self, args: &[&str], token: Option<&str>, input: &str) -> Output {
        let mut command = Command::new(common::binary("demo"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.home.path())
            .env("AWS_ACCESS_KEY_ID", "AKIDEMO")
            .env("AWS_SECRET_ACCESS_KEY", "s3cret")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ENDPOINT_URL", self.aws.url())
            .env("KSM_SKIP_VERIFY", "true")
            .envs(args.first().map(|_| ("KSM_HOSTNAME", self.keeper.hostname())))
            .envs(token.map(|token| ("KSM_TOKEN", token)))
            .current_dir(self.home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        // A program that reads nothing has closed it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
        let ended = tokio::time::timeout(Duration::from_mins(1), child.wait_with_output());
        let output = ended.await.unwrap().unwrap();
        assert_eq!(std::fs::read_dir(self.home.path()).unwrap().count(), 0, "it wrote a file");
        // Without arguments it holds none of this; the test of that compares every line.
        if !args.is_empty() {
            self.assert_clean(&output);
        }
        output
    }

    /// Nothing that nobody else may see is in what was printed.
    fn assert_clean(&self, output: &Output) {
        let text = text(output);
        let stored = self.aws.emulator().secret("team/ksm").value("AWSCURRENT").unwrap();
        let stored: Vec<String> = String::from_utf8(stored.as_bytes().to_vec())
            .unwrap()
            .split('"')
            .filter(|piece| piece.len() > 40)
            .map(str::to_owned)
            .collect();
        assert!(!stored.iter().any(|secret| shows(&text, secret.as_bytes())), "{text}");
        assert!(!shows(&text, b"s3cret"));
        for secret in self.keeper.secrets() {
            assert!(!shows(&text, &secret), "{text}");
        }
    }

    fn writes(&self) -> usize {
        [Action::PutSecretValue, Action::CreateSecret]
            .map(|action| self.aws.emulator().calls(action))
            .iter()
            .sum()
    }
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

#[track_caller]
fn assert_says(output: &Output, success: bool, words: &[&str]) {
    let text = text(output);
    assert_eq!(output.status.success(), success, "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
}

#[tokio::test]
async fn demo_shows_the_whole_job() {
    let world = World::new("{}").await;
    let output = world.run(&[], None, "").await;
    let words = [
        "AWS calls: 5 GetSecretValue, 2 PutSecretValue",
        "Keeper requests: 1",
        "AWS calls: 1 GetSecretValue, 0 PutSecretValue",
        "Message queue     ********",
        "AWS calls for the records: 0 GetSecretValue, 0 PutSecretValue",
        "stored: {}",
    ];
    assert_says(&output, true, &words);
    assert!(!text(&output).contains('\x1b'));
    // It is what the page shows, but for the ports.
    let page = include_str!("../docs/testing.md");
    for line in text(&output).lines() {
        let shown = match line.split_once("//127.0.0.1:") {
            Some((before, port)) if port.parse::<u16>().is_ok() => format!("{before}//127.0.0.1:"),
            _ => format!("{line}\n"),
        };
        assert!(page.contains(&shown), "docs/testing.md does not show: {line}");
    }
    assert_eq!(world.aws.emulator().calls(Action::GetSecretValue), 0);
}

#[tokio::test]
async fn on_a_real_secret_it_binds_once_says_so_first_and_never_deletes() {
    let world = World::new(r#"{"appUid": "theirs"}"#).await;
    let args = ["--aws-key", "aws-sm://eu-central-1/team/ksm"];
    let first = world.run(&args, Some(&world.token()), "").await;
    assert_says(
        &first,
        true,
        &["Two new versions will be written to", "team/ksm", "stored: Bound", "records: 2"],
    );
    assert_eq!(world.writes(), 2);

    let second = world.run(&args, None, "").await;
    assert_says(&second, true, &["nothing will be written", "records: 2"]);
    assert_eq!(world.writes(), 2);
    let stored = world.aws.emulator().secret("team/ksm").value("AWSCURRENT").unwrap();
    assert!(std::str::from_utf8(stored.as_bytes()).unwrap().contains("appUid"));
}

#[tokio::test]
async fn the_token_may_come_on_standard_input() {
    let world = World::new("{}").await;
    let args = ["--aws-key", "team/ksm", "--region", "eu-central-1"];
    let none = world.run(&args, None, "").await;
    assert_says(&none, false, &["error: no one-time token: set KSM_TOKEN"]);
    assert_eq!(world.writes(), 0);
    let given = world.run(&args, None, &format!("{}\n", world.token())).await;
    assert_says(&given, true, &["stored: Bound"]);
}

#[tokio::test]
async fn a_wrong_argument_ends_with_2_and_a_failure_with_1() {
    let world = World::new("{}").await;
    assert_eq!(world.run(&["--profile", "x"], None, "").await.status.code(), Some(2));
    let missing = world.run(&["--aws-key", "no-such", "--region", "eu-central-1"], None, "").await;
    assert_eq!(missing.status.code(), Some(1));
    assert_says(&missing, false, &["aws secretsmanager create-secret"]);
}
