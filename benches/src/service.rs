//! The service of the programs: the emulator, plain and behind TLS.

use std::{fs, path::Path, process::Command};

use ksm_storage_core::Payload;
use ksm_storage_emulator::{Emulator, Server, TlsFront, Value};

use crate::Result;

/// A bound configuration with values as long as real ones.
pub(crate) const CONFIGURATION: &str = include_str!("../configuration.json");

/// An emulator without a version quota, with a secret called `ksm-config` in it.
pub(crate) fn emulator(value: impl Into<Payload>) -> Emulator {
    let emulator = Emulator::new("us-east-1");
    emulator.set_version_quota(None);
    emulator.secret("ksm-config").overwrite(Value::Text(value.into()));
    emulator
}

pub(crate) struct Service {
    pub(crate) server: Server,
    front: TlsFront,
    folder: tempfile::TempDir,
    /// The number of trusted root certificates.
    pub(crate) roots: usize,
}

impl Service {
    pub(crate) async fn start() -> Result<Self> {
        let server = Server::start(emulator(CONFIGURATION)).await?;
        let front = TlsFront::start(&server.url()).await?;
        let folder = tempfile::tempdir()?;
        // As many certificates as a host knows, for they have to be read.
        let known = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];
        let known = known.iter().find_map(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        let roots = format!("{}{known}", front.certificate());
        fs::write(folder.path().join("roots.pem"), &roots)?;
        Ok(Self { server, front, folder, roots: roots.matches("BEGIN CERTIFICATE").count() })
    }

    /// The program with nothing in its environment but where the service is.
    pub(crate) fn command(&self, program: &Path, https: bool) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.folder.path())
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", self.server.url())
            .current_dir(self.folder.path());
        if https {
            let roots = self.folder.path().join("roots.pem");
            command.env("AWS_ENDPOINT_URL", self.front.url());
            // The second name is Python's.
            command.env("SSL_CERT_FILE", &roots).env("AWS_CA_BUNDLE", roots)
        } else {
            command.env("AWS_ENDPOINT_URL", self.server.url())
        };
        command
    }
}
