//! The cost of a read on one thread and on two. `reads ROUNDS` prints nanoseconds as JSON, one figure per round.
//!
//! Every subject is measured in every round, so figures of one round are comparable.

use std::{
    collections::BTreeMap,
    error::Error,
    hint::black_box,
    num::NonZeroUsize,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use aws_sdk_secretsmanager::{
    Client,
    config::{BehaviorVersion, Config, Credentials, Region},
};
use aws_secretsmanager_caching::SecretsManagerCachingClient;
use ksm_storage::{ConfigKey, ConfigStorage, memory::MemoryBackend};
use ksm_storage_emulator::{Emulator, Server, Value};
use tokio::runtime::Builder;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const CONFIG: &str = include_str!("../../configuration.json");
/// The approximate duration of one subject in a round.
const TURN: Duration = Duration::from_millis(5);

/// Makes this number of reads.
type Read<'a> = Box<dyn Fn(u64) + Sync + 'a>;

fn main() -> Result<()> {
    let rounds: usize = std::env::args().nth(1).ok_or("usage: reads ROUNDS")?.parse()?;
    let service = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let storage = service.block_on(ConfigStorage::open(MemoryBackend::from_config(CONFIG)))?;
    let bare = ArcSwap::from_pointee([Some(1_u64); 11]);
    let (server, peer) = service.block_on(peer())?;

    let subjects: [(&str, Read<'_>); 5] = [
        ("control", Box::new(times(control))),
        ("arc_swap_load_index", Box::new(times(|| bare.load()[black_box(ConfigKey::PrivateKey as usize)]))),
        ("get", Box::new(times(|| storage.get(black_box(ConfigKey::PrivateKey))))),
        ("snapshot", Box::new(times(|| storage.snapshot()))),
        ("aws_secretsmanager_caching", Box::new(|times| read_peer(&peer, times))),
    ];
    let lengths: Vec<_> = subjects.iter().map(|(_, read)| length(read)).collect();
    let mut figures = BTreeMap::<String, Vec<f64>>::new();
    for _ in 0..rounds {
        for ((name, read), times) in subjects.iter().zip(&lengths) {
            for threads in [1, 2] {
                let time = on_threads(threads, *times, read);
                #[expect(clippy::cast_precision_loss, reason = "they are some milliseconds")]
                let nanoseconds = time.as_nanos() as f64 / *times as f64;
                figures.entry(format!("{name}/{threads}")).or_default().push(nanoseconds);
            }
        }
    }
    drop(server);
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

/// Repeats a read.
fn times<T>(read: impl Fn() -> T + Sync) -> impl Fn(u64) + Sync {
    move |times| (0..times).for_each(|_| drop(black_box(read())))
}

/// A baseline that touches no shared data.
fn control() -> u64 {
    (0..16).fold(0, |sum: u64, step| black_box(sum.wrapping_mul(31).wrapping_add(step)))
}

/// The competitor, with the secret in its cache.
async fn peer() -> Result<(Server, SecretsManagerCachingClient)> {
    let emulator = Emulator::new("us-east-1");
    emulator.secret("ksm-config").overwrite(Value::Text(CONFIG.into()));
    let server = Server::start(emulator).await?;
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("AKIA", "key", None, None, "bench"))
        .endpoint_url(server.url())
        .build();
    let ttl = Duration::from_secs(24 * 60 * 60);
    let peer = SecretsManagerCachingClient::new(Client::from_conf(config), NonZeroUsize::MIN, ttl, false)?;
    peer.get_secret_value("ksm-config", None, None, false).await?;
    Ok((server, peer))
}

fn read_peer(peer: &SecretsManagerCachingClient, times: u64) {
    let runtime = Builder::new_current_thread().build();
    runtime.expect("a runtime without drivers needs nothing of the system").block_on(async {
        for _ in 0..times {
            black_box(peer.get_secret_value(black_box("ksm-config"), None, None, false).await)
                .expect("it is in the cache");
        }
    });
}

/// The number of reads in a turn.
fn length(read: &Read<'_>) -> u64 {
    let mut times = 1_000;
    loop {
        let start = Instant::now();
        read(times);
        if start.elapsed() >= TURN {
            return times;
        }
        times *= 2;
    }
}

/// The duration of `times` reads on each of `threads` threads that start together.
fn on_threads(threads: usize, times: u64, read: &Read<'_>) -> Duration {
    let barrier = Barrier::new(threads);
    thread::scope(|scope| {
        let timers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    let start = Instant::now();
                    read(times);
                    start.elapsed()
                })
            })
            .collect();
        let times = timers.into_iter().map(|timer| timer.join().expect("no timer panics"));
        times.max().expect("there are threads")
    })
}
