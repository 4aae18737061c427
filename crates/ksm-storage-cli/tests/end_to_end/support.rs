//! The program in an empty environment, with AWS and Keeper on loopback.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Output, Stdio},
};

use ksm_storage_emulator::{
    Emulator, Server, Value,
    keeper::{AppKeyPolicy, FakeKeeper},
};
use tokio::{io::AsyncWriteExt, process::Command};

/// The secret in a [`World`].
pub(crate) const SECRET: &str = "team/ksm";
/// Its URL.
pub(crate) const URL: &str = "aws-sm://eu-central-1/team/ksm";

/// A folder and an environment for the program.
pub(crate) struct Run {
    folder: tempfile::TempDir,
    environment: Vec<(&'static str, String)>,
}

impl Run {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap().to_owned();
        Self { folder, environment: vec![("PATH", "/usr/bin:/bin".into()), ("HOME", home)] }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.set(name, value);
        self
    }

    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.remove(name);
        self.environment.push((name, value.into()));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.environment.retain(|(other, _)| *other != name);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a private file into the folder.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    pub(crate) fn program(&self, program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.program(env!("CARGO_BIN_EXE_ksm-storage"), args)
    }

    pub(crate) async fn input(&self, args: &[&str], input: &str) -> Output {
        let mut child = self.command(args).spawn().unwrap();
        // A program that does not read has closed its standard input.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
        child.wait_with_output().await.unwrap()
    }

    /// Runs the program, and returns its output if it exits with this code.
    #[track_caller]
    pub(crate) fn ends(&self, args: &[&str], code: i32) -> impl Future<Output = String> {
        let caller = std::panic::Location::caller();
        async move {
            let output = self.input(args, "").await;
            assert_eq!(output.status.code(), Some(code), "{caller}: {args:?}: {}", text(&output));
            text(&output)
        }
    }
}

pub(crate) fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

/// A token of the form that brings the server's key with it.
pub(crate) fn token(keeper: &FakeKeeper) -> String {
    format!("IL5:{}:901:{}\n", keeper.issue_token(), keeper.server_public_key())
}

/// Keeper and AWS, and the environment that leads to them.
pub(crate) struct World {
    pub(crate) aws: Server,
    pub(crate) keeper: FakeKeeper,
    pub(crate) run: Run,
}

impl World {
    pub(crate) async fn new(stored: &str) -> Self {
        let keeper = FakeKeeper::start(AppKeyPolicy::Once).unwrap();
        let (aws, run) = aws(&keeper, stored).await;
        Self { aws, keeper, run }
    }

    /// Creates a world with a bound configuration.
    pub(crate) async fn bound() -> Self {
        let world = Self::new("{}").await;
        let output =
            world.run.input(&["bind", "--host", &world.keeper.hostname()], &token(&world.keeper)).await;
        assert!(output.status.success(), "{}", text(&output));
        world
    }

    pub(crate) fn secret(&self) -> ksm_storage_emulator::Secret {
        self.aws.emulator().secret(SECRET)
    }

    /// The stored JSON.
    pub(crate) fn stored(&self) -> String {
        let value = self.secret().value("AWSCURRENT").unwrap();
        String::from_utf8(value.as_bytes().to_vec()).unwrap().trim_end().to_owned()
    }
}

/// AWS with this value, and the environment that leads to it and to Keeper.
pub(crate) async fn aws(keeper: &FakeKeeper, stored: &str) -> (Server, Run) {
    let emulator = Emulator::new("eu-central-1");
    emulator.secret(SECRET).overwrite(Value::Text(stored.into()));
    let aws = Server::start(emulator).await.unwrap();
    let run = Run::new()
        .with("AWS_ACCESS_KEY_ID", "AKIDEMO")
        .with("AWS_SECRET_ACCESS_KEY", "s3cret-access-key")
        .with("AWS_EC2_METADATA_DISABLED", "true")
        .with("AWS_ENDPOINT_URL", aws.url())
        .with("KSM_HOSTNAME", keeper.hostname())
        .with("KSM_SKIP_VERIFY", "true")
        .with("KSM_STORAGE", URL);
    (aws, run)
}

/// Ends a test whose programs are not installed.
#[track_caller]
pub(crate) fn not_checked(why: &str) {
    assert!(std::env::var_os("KSM_CONFORMANCE_REQUIRE_ALL").is_none(), "{why}");
    eprintln!("NOT CHECKED: {why}");
}
