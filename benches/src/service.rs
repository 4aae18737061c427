//! The services that the programs use: emulators over plain HTTP, over our own TLS, and behind nginx.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    thread::sleep,
    time::Duration,
};

use ksm_storage_core::Payload;
use ksm_storage_emulator::{
    Emulator, Server, TlsFront, Value,
    keeper::{AppKeyPolicy, FakeKeeper},
};
use python_peers::Process;

use crate::Result;

/// A bound configuration with values of realistic length.
pub(crate) const CONFIGURATION: &str = include_str!("../configuration.json");
pub(crate) const NAME: &str = "ksm-config";

/// An emulator without a version quota, and with this value in its secret.
pub(crate) fn emulator(value: impl Into<Payload>) -> Emulator {
    let emulator = Emulator::new("us-east-1");
    emulator.set_version_quota(None);
    emulator.secret(NAME).overwrite(Value::Text(value.into()));
    emulator
}

pub(crate) struct Service {
    pub(crate) server: Server,
    keeper: FakeKeeper,
    front: TlsFront,
    /// nginx, or the reason why it is not available.
    pub(crate) nginx: std::result::Result<Nginx, String>,
    folder: tempfile::TempDir,
    /// The number of trusted root certificates.
    pub(crate) roots: usize,
}

impl Service {
    pub(crate) async fn start() -> Result<Self> {
        let server = Server::start(emulator(CONFIGURATION)).await?;
        let keeper = FakeKeeper::start(AppKeyPolicy::Once)?;
        let front = TlsFront::start(&server.url()).await?;
        let folder = tempfile::tempdir()?;
        let nginx =
            Nginx::start(folder.path(), &server.url(), &keeper.hostname()).map_err(|error| error.to_string());
        // As many certificates as on a typical host, because they must all be read.
        let known = fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default();
        let of_nginx = nginx.as_ref().map_or("", |nginx| &nginx.certificate);
        let roots = [front.certificate(), keeper.certificate(), of_nginx, &known].concat();
        fs::write(folder.path().join("roots.pem"), &roots)?;
        let roots = roots.matches("BEGIN CERTIFICATE").count();
        Ok(Self { server, keeper, front, nginx, folder, roots })
    }

    /// A program whose environment contains only the addresses of the services: behind `nginx`, over our own `https`,
    /// or AWS over plain `http`.
    pub(crate) fn command(&self, program: &Path, via: &str) -> Command {
        let (aws, keeper) = match (&self.nginx, via) {
            (Ok(nginx), "nginx") => (nginx.aws.clone(), nginx.keeper.clone()),
            (_, "http") => (self.server.url(), self.keeper.hostname()),
            _ => (self.front.url(), self.keeper.hostname()),
        };
        let roots = self.folder.path().join("roots.pem");
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs([("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "key")])
            .envs([("AWS_REGION", "us-east-1"), ("AWS_DEFAULT_REGION", "us-east-1")])
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", self.server.url())
            .env("AWS_ENDPOINT_URL", aws)
            // Read by Rust and Python.
            .envs(["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"].map(|name| (name, &roots)))
            .env("KSM_HOSTNAME", keeper)
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path());
        command
    }

    /// Restores the unbound configuration, and returns a token for it.
    pub(crate) fn unbind(&self) -> String {
        let (key, id) = (self.keeper.server_public_key(), self.keeper.server_public_key_id());
        let unbound =
            format!(r#"{{"hostname":"unused","serverPublicKey":"{key}","serverPublicKeyId":"{id}"}}"#);
        self.server.emulator().secret(NAME).overwrite(Value::Text(unbound.into()));
        self.keeper.issue_token()
    }

    /// Copies the secret to the file of Keeper's bare SDK. Fails if it is not bound: Keeper's Python class ignores failed
    /// writes, and a bind without them is not what is measured.
    pub(crate) fn save_file(&self) -> Result<()> {
        let bound = self.server.emulator().secret(NAME).value("AWSCURRENT").ok_or("there is no secret")?;
        if !String::from_utf8_lossy(bound.as_bytes()).contains("appKey") {
            return Err("the last program stored no binding".into());
        }
        Ok(fs::write(self.folder.path().join("ksm.json"), bound.as_bytes())?)
    }
}

/// A real server in front of both services.
pub(crate) struct Nginx {
    _process: Process,
    aws: String,
    keeper: String,
    certificate: String,
}

impl Nginx {
    fn start(folder: &Path, aws: &str, keeper: &str) -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let certificate = made.cert.pem();
        let free = || TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let (front, keeper_front) = (free()?, free()?);
        let config = include_str!("../nginx.conf")
            .replace("PORT_A", &front.port().to_string())
            .replace("PORT_K", &keeper_front.port().to_string())
            .replace("AWS", aws.trim_start_matches("http://"))
            .replace("KEEPER", keeper.trim_end_matches("/http"));
        let key = made.signing_key.serialize_pem();
        for (name, text) in [("nginx.pem", &certificate), ("nginx.key", &key), ("nginx.conf", &config)] {
            fs::write(folder.join(name), text)?;
        }
        let mut command = Command::new("nginx");
        let process =
            Process::start(command.arg("-p").arg(folder).args(["-c", "nginx.conf", "-e", "error.log"]))?;
        for _ in 0..100 {
            if TcpStream::connect(front).is_ok() && TcpStream::connect(keeper_front).is_ok() {
                let (aws, keeper) = (format!("https://{front}"), format!("{keeper_front}/http"));
                return Ok(Self { _process: process, aws, keeper, certificate });
            }
            sleep(Duration::from_millis(50));
        }
        Err(format!("nginx does not listen: {}", fs::read_to_string(folder.join("error.log"))?).into())
    }
}
