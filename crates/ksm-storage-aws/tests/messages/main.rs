//! Every cause of failure, produced with real components: the message names the failure and the remedy, on one line.
//!
//! Each case runs in a child process with a cleared environment, and contacts only loopback.
#![allow(missing_docs, clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

#[path = "../robustness/child.rs"]
#[allow(dead_code, reason = "the other test runs several cases in one child")]
mod child;
mod connections;
mod credentials;
mod profiles;
mod servers;
mod service;

use std::{fs, path::PathBuf, time::Duration};

use child::Outcome;
use ksm_storage_emulator::{Emulator, Server, Value};
use tokio::process::Command;

/// A failure, and the words that its message must contain.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) mode: &'static str,
    /// The configuration file; `[default]` sets the region.
    pub(crate) config: String,
    pub(crate) variables: Vec<(&'static str, String)>,
    pub(crate) kind: &'static str,
    pub(crate) retryable: bool,
    pub(crate) words: Vec<String>,
}

impl Row {
    pub(crate) fn new(name: &'static str, mode: &'static str, kind: &'static str) -> Self {
        let retryable = matches!(kind, "timeout" | "unavailable" | "throttled");
        Self { name, mode, config: String::new(), variables: Vec::new(), kind, retryable, words: Vec::new() }
    }

    pub(crate) fn config(mut self, text: impl Into<String>) -> Self {
        self.config = text.into();
        self
    }

    pub(crate) fn set(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    pub(crate) fn keys(self) -> Self {
        self.set("AWS_ACCESS_KEY_ID", "AKIA").set("AWS_SECRET_ACCESS_KEY", "s3cret")
    }

    pub(crate) fn says(mut self, words: &[&str]) -> Self {
        self.words.extend(words.iter().map(|word| (*word).to_owned()));
        self
    }
}

/// Rust terms, which users of the CLI and of Python cannot follow, and secrets.
const FORBIDDEN: [&str; 12] = [
    "s3cret",
    "crate feature",
    "open_or_create",
    "from_default_config",
    "from_profile_config",
    "create_if_missing",
    "Concurrency::",
    "Error::",
    "Err(",
    "Some(",
    "unwrap",
    "None",
];

/// The folder of one case, and its emulator.
pub(crate) struct World {
    pub(crate) server: Server,
    folder: tempfile::TempDir,
    has_network: bool,
}

impl World {
    pub(crate) async fn new() -> Self {
        let emulator = Emulator::new("us-east-1");
        emulator.secret("ksm-config").overwrite(Value::Text("{}".into()));
        emulator.set_version_quota(None);
        Self {
            server: Server::start(emulator).await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
            has_network: true,
        }
    }

    /// Runs the cases in a separate network namespace.
    pub(crate) fn without_network(mut self) -> Self {
        self.has_network = false;
        self
    }

    pub(crate) fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    async fn run(&self, row: &Row) -> Outcome {
        self.file("config", format!("[default]\nregion = us-east-1\n{}", row.config));
        let child = std::env::current_exe().unwrap();
        let mut command = if self.has_network {
            Command::new(child)
        } else {
            let mut command = Command::new("unshare");
            command.args(["--map-root-user", "--net"]).arg(child);
            command
        };
        command
            .args(["--ignored", "--exact", "child::child", "--nocapture"])
            .env_clear()
            .env("CHILD_MODE", row.mode)
            .env("HOME", self.folder.path())
            .env("PATH", "/usr/bin:/bin")
            .env("AWS_CONFIG_FILE", self.path("config"))
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", self.server.url())
            .current_dir(self.folder.path())
            .kill_on_drop(true);
        if !row.variables.iter().any(|(name, _)| name.ends_with("PROXY")) {
            // Every address but loopback goes to a closed port.
            command.env("HTTPS_PROXY", CLOSED).env("NO_PROXY", "127.0.0.1,localhost");
        }
        command.envs(row.variables.iter().map(|(name, value)| (name, value)));
        let output = tokio::time::timeout(Duration::from_mins(2), command.output()).await.unwrap().unwrap();
        let text =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        let json = text.lines().find_map(|line| line.strip_prefix("RESULT "));
        Outcome::read(json.unwrap_or_else(|| panic!("{}: {text}", row.name)))
    }

    pub(crate) async fn works(&self, row: Row) {
        let found = self.run(&row).await;
        assert!(found.is_ok(), "{}: {found:?}", row.name);
    }

    pub(crate) async fn check(&self, row: Row) {
        let found = self.run(&row).await;
        println!("MESSAGE {}: {}", row.name, found.text);
        let name = row.name;
        assert_eq!(found.kind.as_deref(), Some(row.kind), "{name}: {found:?}");
        assert_eq!(found.retryable, row.retryable, "{name}: {found:?}");
        assert_eq!(found.fate, "not_applied", "{name}: {found:?}");
        assert!(found.longest < LONGEST, "{name}: {found:?}");
        for word in &row.words {
            assert!(found.text.contains(word), "{name}: no {word:?} in {}", found.text);
        }
        for word in FORBIDDEN {
            assert!(!found.text.contains(word), "{name}: {word:?} in {}", found.text);
        }
        assert!(!found.text.contains(char::is_control), "{name}: {found:?}");
    }
}

/// The longest deadline of a row, and a second more.
const LONGEST: Duration = Duration::from_secs(16);
/// A loopback port that refuses connections.
pub(crate) const CLOSED: &str = "http://127.0.0.1:9";
