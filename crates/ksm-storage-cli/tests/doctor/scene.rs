//! The program in an empty environment, with an emulator and a fake Keeper of its own.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::PathBuf,
    process::{Output, Stdio},
    thread,
};

use ksm_storage_emulator::{Emulator, Server, TlsFront, Value, keeper::FakeKeeper};
use tokio::{io::AsyncWriteExt, process::Command};

pub(crate) const SECRET: &str = "team/ksm";
pub(crate) const URL: &str = "aws-sm://eu-central-1/team/ksm";

/// A complete working setup, into which a fault is then injected.
pub(crate) struct Scene {
    pub(crate) aws: Server,
    pub(crate) tls: TlsFront,
    pub(crate) args: Vec<String>,
    folder: tempfile::TempDir,
    environment: Vec<(&'static str, String)>,
}

impl Scene {
    pub(crate) async fn new(keeper: &FakeKeeper, stored: &str) -> Self {
        let emulator = Emulator::new("eu-central-1");
        emulator.secret(SECRET).overwrite(Value::Text(stored.into()));
        let aws = Server::start(emulator).await.unwrap();
        let tls = TlsFront::start(&aws.url()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap().to_owned();
        let url = aws.url();
        let mut scene = Self { aws, tls, args: vec!["doctor".into()], folder, environment: Vec::new() };
        scene.set("HOME", home);
        scene.set("AWS_ACCESS_KEY_ID", "AKIDEMO");
        scene.set("AWS_SECRET_ACCESS_KEY", "s3cret-access-key");
        scene.set("AWS_EC2_METADATA_DISABLED", "true");
        scene.set("AWS_ENDPOINT_URL", url);
        scene.set("KSM_HOSTNAME", keeper.hostname());
        scene.set("KSM_SKIP_VERIFY", "true");
        scene.set("KSM_STORAGE", URL);
        scene
    }

    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.remove(name);
        self.environment.push((name, value.into()));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.environment.retain(|(other, _)| *other != name);
    }

    pub(crate) fn store(&self, value: &str) {
        self.aws.emulator().secret(SECRET).overwrite(Value::Text(value.into()));
    }

    /// Writes a file to the home folder.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Connects to AWS through TLS, with a trusted certificate.
    pub(crate) fn trust_tls(&mut self) {
        let bundle = self.file("roots.pem", self.tls.certificate());
        self.set("AWS_CA_BUNDLE", bundle.to_str().unwrap());
        self.set("AWS_ENDPOINT_URL", self.tls.url());
    }

    /// Configures a profile instead of access keys.
    pub(crate) fn profile(&mut self, config: &str) {
        self.remove("AWS_ACCESS_KEY_ID");
        self.remove("AWS_SECRET_ACCESS_KEY");
        self.file(".aws/config", config);
        self.set("AWS_PROFILE", "ops");
    }

    pub(crate) async fn run(&self, args: &[&str], input: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ksm-storage"))
            .args(args)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        // A program that does not read has closed its standard input.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
        child.wait_with_output().await.unwrap()
    }
}

pub(crate) fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

/// Starts a proxy that requires authentication.
pub(crate) fn proxy_with_login() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _ = client.read(&mut [0; 1024]);
            let _ =
                client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
        }
    });
    format!("http://{address}")
}

/// An address on which nothing listens.
pub(crate) fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}
