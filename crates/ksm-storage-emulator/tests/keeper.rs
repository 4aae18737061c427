//! The fake Keeper service, used with Keeper's SDK through the bridge.
#![allow(missing_docs, clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ksm_storage_core::ConfigStorage;
use ksm_storage_emulator::keeper::{AppKeyPolicy, FakeKeeper};
use ksm_storage_keeper::{KeeperClient, KeeperClientBuilder};
use ksm_storage_memory::MemoryBackend;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpSocket},
};

fn client(service: &FakeKeeper, hostname: String) -> KeeperClientBuilder {
    KeeperClient::builder()
        .hostname(hostname)
        .server_public_key(service.server_public_key())
        .server_public_key_id(service.server_public_key_id())
        .insecure_skip_verify()
}

/// Forwards connections to the service from 127.0.0.2. Returns the host name for clients.
async fn elsewhere(service: &FakeKeeper) -> String {
    let behind: SocketAddr = service.hostname().trim_end_matches("/http").parse().unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            client.set_nodelay(true).unwrap();
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), 0)).unwrap();
            let mut server = socket.connect(behind).await.unwrap();
            server.set_nodelay(true).unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    });
    format!("{address}/http")
}

// Other systems have no loopback address but 127.0.0.1.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn locked_client_is_denied_elsewhere() {
    let service = FakeKeeper::start(AppKeyPolicy::Once).unwrap();
    let other_host = elsewhere(&service).await;
    for (token, locked) in [(service.issue_token(), false), (service.issue_ip_locked_token(), true)] {
        let backend = MemoryBackend::from_config("{}");
        let storage = ConfigStorage::open(backend.clone()).await.unwrap();
        let bound = client(&service, service.hostname()).token(token).open(storage.clone()).await.unwrap();
        assert_eq!(bound.get_secrets(&[]).await.unwrap().len(), 2);

        storage.set(ksm_storage_core::ConfigKey::Hostname, &*other_host).await.unwrap();
        let moved = client(&service, other_host.clone()).open(storage).await.unwrap();
        let read = moved.get_secrets(&[]).await;
        let status = service.requests().last().unwrap().status;
        if locked {
            let error = read.unwrap_err().to_string();
            assert_eq!(status, Some(403), "{error}");
            assert!(error.contains("Keeper refuses this client"), "{error}");
        } else {
            assert_eq!((read.unwrap().len(), status), (2, Some(200)));
        }
    }
}
