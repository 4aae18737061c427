//! The connection that is opened while the SDK starts.

use std::{
    io,
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ksm_storage_core::ConfigKey;
use ksm_storage_emulator::keeper::AppKeyPolicy;
use ksm_storage_keeper::KeeperClient;
use tokio::time::{sleep, timeout};

use crate::support::{TITLES, World, titles};

/// Generous for a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// A bound client whose stored host is a relay in front of the fake Keeper, and the number of connections to it.
struct Relayed {
    world: World,
    connections: Arc<AtomicUsize>,
}

impl Relayed {
    async fn bound() -> Self {
        let world = World::new(AppKeyPolicy::Once, "{}");
        world.open(&world.keeper.issue_token()).await.unwrap();
        let (relay, connections) = relay(world.keeper.hostname().trim_end_matches("/http").to_owned());
        world.storage().await.set(ConfigKey::Hostname, format!("{relay}/http")).await.unwrap();
        Self { world, connections }
    }

    async fn start(&self) -> KeeperClient {
        self.world.start().await.unwrap()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// On a busy machine, the connection may be too old for the first request, which then opens another one.
    fn assert_shared(&self, started: Instant) {
        let most = if started.elapsed() < Duration::from_millis(2_500) { 1 } else { 2 };
        assert!((1..=most).contains(&self.connections()), "{} connections", self.connections());
    }

    async fn connected(&self) {
        let connected = async {
            while self.connections() == 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, connected).await.unwrap();
    }
}

/// Passes connections on to `target`, and counts them. Ends with the process.
fn relay(target: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    thread::spawn(move || {
        for client in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
            let (client, server) = (client.unwrap(), TcpStream::connect(&target).unwrap());
            for (mut from, mut to) in
                [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)]
            {
                // An error means that the connection has ended.
                thread::spawn(move || io::copy(&mut from, &mut to));
            }
        }
    });
    (address, connections)
}

#[tokio::test(flavor = "multi_thread")]
async fn first_request_uses_the_connection() {
    let relayed = Relayed::bound().await;
    let requests = relayed.world.keeper.requests().len();
    let started = Instant::now();
    let client = relayed.start().await;
    relayed.connected().await;
    assert_eq!(relayed.world.keeper.requests().len(), requests, "nothing is sent ahead");
    assert_eq!(titles(&client).await, TITLES);
    assert_eq!(titles(&client).await, TITLES);
    relayed.assert_shared(started);
}

#[tokio::test(flavor = "multi_thread")]
async fn aged_connection_is_not_used() {
    let relayed = Relayed::bound().await;
    let client = relayed.start().await;
    relayed.connected().await;
    sleep(Duration::from_millis(3_100)).await;
    assert_eq!(titles(&client).await, TITLES);
    assert_eq!(relayed.connections(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_does_not_connect() {
    let relayed = Relayed::bound().await;
    let started = Instant::now();
    let client = relayed.start().await;
    assert_eq!(titles(&client).await, TITLES);
    client.reload().await.unwrap();
    assert_eq!(titles(&client).await, TITLES);
    relayed.assert_shared(started);
}
