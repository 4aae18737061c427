//! The cost of opening in each mode: files, requests and connections, counted.

use std::sync::Arc;

use ksm_storage_emulator::Action;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::watch::{self, Sender},
};

use crate::{KEYS, World, watch::Watch};

const REGION: (&str, &str) = ("AWS_REGION", "us-east-1");

/// A world that counts how often its files are opened: config, credentials, root certificates.
struct Counted {
    world: World,
    watch: Watch,
    files: [(&'static str, String); 3],
}

impl Counted {
    async fn new() -> Self {
        let world = World::new().await;
        let keys = "[ksm]\naws_access_key_id = AKIA\naws_secret_access_key = key\n";
        let files = [
            ("AWS_CONFIG_FILE", world.file("config", "[profile ksm]\nregion = us-east-1\n")),
            ("AWS_SHARED_CREDENTIALS_FILE", world.file("credentials", keys)),
            ("SSL_CERT_FILE", world.file("roots.pem", "")),
        ];
        let watch = Watch::new(files.iter().map(|(_, file)| file));
        Self { world, watch, files: files.map(|(name, file)| (name, file.to_str().unwrap().to_owned())) }
    }

    /// Opens the storage. Returns how often each file was opened, and the number of metadata requests.
    async fn open(&self, mode: &[&str], secret: &str, variables: &[(&str, &str)]) -> ([usize; 3], usize) {
        let server = &self.world.server;
        let before = (server.metadata().calls(), server.emulator().calls(Action::GetSecretValue));
        let files = self.files.iter().map(|(name, file)| (*name, &**file));
        self.world.run(mode, secret, files.chain(variables.iter().copied())).await.opened();
        assert_eq!(server.emulator().calls(Action::GetSecretValue) - before.1, 1);
        (self.watch.opened().try_into().unwrap(), server.metadata().calls() - before.0)
    }
}

#[tokio::test]
async fn modes_do_no_extra_work() {
    let counted = Counted::new().await;
    let given = counted.open(&["custom", "AKIA", "key", "us-east-1"], "ksm-config", &[]).await;
    assert_eq!(given, ([0, 0, 0], 0));

    let [id, key] = KEYS;
    let variables = counted.open(&["default"], "ksm-config", &[id, key, REGION]).await;
    assert_eq!(variables, ([1, 1, 0], 0));

    // The files are read once for credentials, region and all other settings.
    let profile = counted.open(&["profile", "ksm"], "ksm-config", &[REGION]).await;
    assert_eq!(profile, ([1, 1, 0], 0));
    let profile = counted.open(&["profile", "ksm"], "ksm-config", &[]).await;
    assert_eq!(profile, ([1, 1, 0], 0));

    // A token, the region, the name of the role, and its credentials. The files may configure the metadata endpoint.
    assert_eq!(counted.open(&["ec2"], "ksm-config", &[]).await, ([1, 1, 0], 4));
    // An ARN contains the region.
    assert_eq!(counted.open(&["ec2"], &counted.world.arn(), &[]).await, ([1, 1, 0], 3));
}

#[tokio::test]
async fn metadata_goes_by_no_proxy() {
    let world = World::new().await;
    let proxy = ["HTTP_PROXY", "http_proxy", "ALL_PROXY"].map(|name| (name, "http://127.0.0.1:9"));
    world.run(&["default"], "ksm-config", proxy.into_iter().chain([REGION])).await.opened();
    assert_eq!(world.server.metadata().calls(), 3);
    world.run(&["ec2"], "ksm-config", proxy).await.opened();
    assert_eq!(world.server.metadata().calls(), 7);
}

/// Forwards requests, but holds back the one for the region until one for the role's name arrives.
async fn region_after_role(server: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked_for_role = Arc::new(watch::channel(false).0);
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(server.trim_start_matches("http://")).await.unwrap();
            client.set_nodelay(true).unwrap();
            server.set_nodelay(true).unwrap();
            let ((requests, mut replies), (mut answered, passed)) =
                (client.into_split(), server.into_split());
            tokio::spawn(pass(requests, passed, Arc::clone(&asked_for_role)));
            tokio::spawn(async move { tokio::io::copy(&mut answered, &mut replies).await });
        }
    });
    url
}

async fn pass(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, asked_for_role: Arc<Sender<bool>>) {
    let mut request = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut request).await {
        let text = String::from_utf8_lossy(&request[..length]);
        if text.contains("security-credentials") {
            asked_for_role.send_replace(true);
        }
        if text.contains("placement/region") {
            asked_for_role.subscribe().wait_for(|asked| *asked).await.unwrap();
        }
        if to.write_all(&request[..length]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn region_and_credentials_resolve_concurrently() {
    let world = World::new().await;
    let metadata = region_after_role(world.server.url()).await;
    let metadata = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*metadata);
    world.run(&["ec2"], "ksm-config", [metadata]).await.opened();
    assert_eq!(world.server.metadata().calls(), 4);
}
