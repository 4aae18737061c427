//! Invalid values for every setting: each call succeeds, or fails with a typed one-line error that names the setting.
//! Nothing panics or hangs, and no permanent error is reported as retryable.
//!
//! Variables are tested in child processes with a cleared environment. A closed loopback port serves as the proxy for
//! every other address, so that nothing leaves loopback.
#![allow(missing_docs, clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

mod child;
mod cleartext;
mod methods;
mod profile;
mod replies;
mod servers;
mod variables;

use std::{
    ffi::OsString,
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

use child::Outcome;
use ksm_storage_emulator::{Emulator, Server, Value};
use tokio::process::Command;

/// A value that is invalid for some setting.
pub(crate) struct Bad {
    pub(crate) name: &'static str,
    pub(crate) value: OsString,
    pub(crate) expected: Expected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The result is as if the setting were unset.
    Unset,
    /// The result is as with the good value.
    Good,
    /// Either the result of the good value, or an error that names the setting.
    GoodOrNamed,
}

/// The values to try instead of a good one, up to the length `longest`.
pub(crate) fn bad_values(good: &str, longest: usize) -> Vec<Bad> {
    use Expected::{Good, GoodOrNamed, Unset};
    let values: Vec<(_, String, _)> = vec![
        ("empty", String::new(), Unset),
        ("blank", "  \t ".into(), Unset),
        ("trailing CR", format!("{good}\r"), Good),
        ("trailing LF", format!("{good}\n"), Good),
        ("trailing CRLF", format!("{good}\r\n"), Good),
        ("trailing space", format!("{good} "), Good),
        ("CR within", format!("{good}\r{good}"), GoodOrNamed),
        ("LF within", format!("{good}\n{good}"), GoodOrNamed),
        ("forged line", format!("{good}\n[ERROR] forged"), GoodOrNamed),
        ("quotes", format!("\"{good}\""), GoodOrNamed),
        ("single quotes", format!("'{good}'"), GoodOrNamed),
        ("non-ASCII", format!("{good}\u{fc}"), GoodOrNamed),
        ("escape", format!("{good}\u{1b}[31m"), GoodOrNamed),
        ("bidi", format!("\u{202e}{good}"), GoodOrNamed),
        ("long", "a".repeat(longest), GoodOrNamed),
        ("long good", format!("{good}{}", "a".repeat(longest)), GoodOrNamed),
        ("number", "1".into(), GoodOrNamed),
        ("list", "[1, {}]".into(), GoodOrNamed),
        ("word", "no-such-thing".into(), GoodOrNamed),
        ("punctuation", "@;:/?#[]@!$&'()*+,%=\\^`{|}".into(), GoodOrNamed),
    ];
    values.into_iter().map(|(name, value, expected)| Bad { name, value: value.into(), expected }).collect()
}

/// The services and files of a test.
pub(crate) struct World {
    pub(crate) server: Server,
    /// The endpoint of container credentials.
    pub(crate) agent: String,
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let emulator = Emulator::new("us-east-1");
        for name in ["ksm-config", "other"] {
            emulator.secret(name).overwrite(Value::Text("{}".into()));
        }
        emulator.set_version_quota(None);
        let server = Server::start(emulator).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let world = Self { server, agent: agent(), folder };
        world.file(
            "config",
            &format!(
                "[default]\nregion = us-east-1\nendpoint_url = {}\n[profile login]\n\
                 login_session = arn:aws:iam::123456789012:user/x\n",
                world.server.url()
            ),
        );
        world.file("token", "the.token");
        world
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Runs the child process, and returns its results.
    pub(crate) async fn run<N: AsRef<str>, V: Into<OsString>>(
        &self,
        mode: &str,
        variables: impl IntoIterator<Item = (N, V)>,
        cases: Option<&Path>,
    ) -> Vec<Outcome> {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--ignored", "--exact", "child::child", "--nocapture"])
            .env_clear()
            .env("CHILD_MODE", mode)
            .env("HOME", self.folder.path())
            .env("PATH", "/usr/bin:/bin")
            .env("AWS_CONFIG_FILE", self.path("config"))
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", self.server.url())
            .env("HTTPS_PROXY", CLOSED)
            .env("ALL_PROXY", CLOSED)
            .current_dir(self.folder.path())
            .kill_on_drop(true);
        for (name, value) in variables {
            command.env(name.as_ref(), value.into());
        }
        if let Some(cases) = cases {
            command.env("CHILD_CASES", cases);
        }
        let output = tokio::time::timeout(Duration::from_mins(2), command.output())
            .await
            .unwrap_or_else(|_| panic!("a call hangs"))
            .unwrap();
        let text =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(!text.contains("panicked at"), "{text}");
        assert!(text.contains("child has ended"), "{text}");
        text.lines()
            .filter_map(|line| line.split_once("RESULT "))
            .map(|(_, json)| Outcome::read(json))
            .collect()
    }
}

/// A loopback port that refuses connections.
pub(crate) const CLOSED: &str = "http://127.0.0.1:9";

/// Answers every request with container credentials.
fn agent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 16 << 10]);
            let body = r#"{"AccessKeyId":"AKIA","SecretAccessKey":"key","Token":"t","Expiration":"2999-01-01T00:00:00Z"}"#;
            let head =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all((head + body).as_bytes());
        }
    });
    url
}

/// Compares the outcome of a bad value with the expected one, and returns the problem.
pub(crate) fn check_outcome(
    setting: &str,
    bad: &Bad,
    found: &Outcome,
    unset: &Outcome,
    good: &Outcome,
) -> Option<String> {
    let same = |other: &Outcome| found.kind == other.kind;
    let named = found.kind.as_deref() == Some("invalid_argument") && found.text.contains(setting);
    let fine = match bad.expected {
        Expected::Unset => same(unset),
        Expected::Good => same(good),
        Expected::GoodOrNamed => same(good) || named || is_judged_elsewhere(found),
    };
    let clean = found.text.lines().count() <= 1
        && !found.text.contains(char::is_control)
        && !found.text.contains("panicked")
        && found.text.len() < 2000
        && (found.is_ok() || found.fate == "not_applied")
        && (!found.retryable || good.retryable || bad.expected == Expected::Unset && unset.retryable);
    (!fine || !clean)
        .then(|| format!("{setting}, {}: {found:?}\n    unset {unset:?}\n    good {good:?}", bad.name))
}

/// True for a well-formed value that only the service can reject: another secret, role or token.
fn is_judged_elsewhere(found: &Outcome) -> bool {
    matches!(found.kind.as_deref(), Some("not_found" | "credentials"))
}
