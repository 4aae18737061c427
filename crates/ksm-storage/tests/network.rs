//! A corporate network between host and AWS, with its own certificate authority and a proxy.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;
#[cfg(target_os = "linux")]
#[path = "common/watch.rs"]
mod watch;

use std::{
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use ksm_storage_emulator::{Emulator, Server, TlsFront, Value};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    process::Command,
};

/// The emulator behind TLS.
struct Secured {
    _server: Server,
    front: TlsFront,
    folder: tempfile::TempDir,
}

impl Secured {
    async fn new() -> Self {
        let emulator = Emulator::new("us-east-1");
        emulator.secret("ksm-config").overwrite(Value::Text(r#"{"hostname":"keepersecurity.com"}"#.into()));
        let server = Server::start(emulator).await.unwrap();
        let front = TlsFront::start(&server.url()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), front.certificate()).unwrap();
        Self { _server: server, front, folder }
    }

    /// Opens the secret in a process with only these environment variables.
    async fn open(&self, endpoint: &str, variables: &[(&str, &str)]) -> Output {
        Command::new(common::binary("aws"))
            .args([
                "custom",
                "AKIA",
                "key",
                "us-east-1",
                "--secret",
                "ksm-config",
                "--endpoint-url",
                endpoint,
            ])
            .env_clear()
            .env("HOME", self.folder.path())
            .envs(variables.iter().copied())
            .current_dir(self.folder.path())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap()
    }

    fn ca(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }
}

#[track_caller]
fn assert_opened(output: &Output, opened: bool) {
    let text =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    assert_eq!(output.status.success(), opened, "{text}");
    assert_eq!(text.contains("hostname keepersecurity.com"), opened, "{text}");
}

#[tokio::test]
async fn variable_names_certificate_authority() {
    let secured = Secured::new().await;
    let endpoint = secured.front.url();
    #[cfg(target_os = "linux")]
    let roots = watch::Watch::new([secured.ca()]);
    assert_opened(&secured.open(&endpoint, &[("SSL_CERT_FILE", &secured.ca())]).await, true);
    assert_eq!(secured.front.connections(), 1);
    #[cfg(target_os = "linux")]
    assert_eq!(roots.opened(), [1]);
    assert_opened(&secured.open(&endpoint, &[]).await, false);
}

/// Starts an HTTP proxy that opens tunnels. Returns its address and a count of tunnels.
async fn proxy() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let tunnels = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tunnels);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(tunnel(stream, Arc::clone(&counted)));
        }
    });
    (address, tunnels)
}

async fn tunnel(mut client: TcpStream, tunnels: Arc<AtomicUsize>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let target = head.strip_prefix("CONNECT ")?.split(' ').next()?;
    let mut server = TcpStream::connect(target).await.ok()?;
    server.set_nodelay(true).ok()?;
    tunnels.fetch_add(1, Ordering::Relaxed);
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
    copy_bidirectional(&mut client, &mut server).await.ok()?;
    Some(())
}

#[tokio::test]
async fn variables_set_and_bypass_proxy() {
    let secured = Secured::new().await;
    let (endpoint, ca) = (secured.front.url(), secured.ca());
    let (proxy, tunnels) = proxy().await;
    let variables = [("SSL_CERT_FILE", &*ca), ("HTTPS_PROXY", &*proxy)];
    assert_opened(&secured.open(&endpoint, &variables).await, true);
    assert_eq!(tunnels.load(Ordering::Relaxed), 1);

    let [ca, proxy] = variables;
    assert_opened(&secured.open(&endpoint, &[ca, proxy, ("NO_PROXY", "127.0.0.1")]).await, true);
    assert_eq!(tunnels.load(Ordering::Relaxed), 1);
    // Control: that variable is what counts.
    assert_opened(&secured.open(&endpoint, &[ca, ("HTTPS_PROXY", "http://127.0.0.1:9")]).await, false);
}
