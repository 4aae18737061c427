//! Writer processes on one secret, behind a proxy that injects faults, killed and stopped at random: `cargo xtask
//! chaos`.
//!
//! Each writer appends marks to a value, and logs the result of each call. From the logs and all versions that were
//! ever current, the checker finds changes that were lost, applied twice, applied although reported as not applied, or
//! late.
//!
//! Environment variables select what runs. The default is one short round.
//! - `KSM_CHAOS_SECONDS=N`: run rounds for this long.
//! - `KSM_CHAOS_SEED=S`: draw the faults from this seed. Scheduling still varies.
//! - `KSM_CHAOS_MODE=optimistic|strict|mixed`: the concurrency mode of the writers.
//! - `KSM_CHAOS_FOREIGN=1`: add a program that ignores the protocol.
#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]
#![allow(clippy::print_stdout, reason = "a test that ends with a table")]

mod check;
mod fault;
mod http;
mod processes;
mod proxy;
mod writer;

use std::{
    env,
    sync::Arc,
    time::{Duration, SystemTime},
};

use check::{History, Report, Version};
use fastrand::Rng;
use fault::Fault;
use http::Request;
use ksm_storage_emulator::{Emulator, Secret, Server, Value};
use processes::{Writer, attribute};
use proxy::{Proxy, Sender};
use serde_json::{Value as Json, json};
use tokio::time::sleep;

const SECRET: &str = "chaos";
/// The deadline of each call.
const DEADLINE: Duration = Duration::from_secs(6);
/// The length of a round. Each round has its own secret, so that the value does not grow without limit.
const ROUND: Duration = Duration::from_secs(20);

/// The wall-clock time in milliseconds, which all processes share.
fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis().try_into().unwrap()
}

fn millis(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap()
}

struct Settings {
    length: Duration,
    seed: u64,
    mode: String,
    foreign: bool,
}

impl Settings {
    fn read() -> Self {
        let number = |name: &str| env::var(name).ok().map(|number| number.parse().unwrap());
        let mode = env::var("KSM_CHAOS_MODE").unwrap_or_else(|_| "mixed".into());
        assert!(["optimistic", "strict", "mixed"].contains(&&*mode), "invalid KSM_CHAOS_MODE");
        Self {
            length: number("KSM_CHAOS_SECONDS").map_or(ROUND, Duration::from_secs),
            seed: number("KSM_CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000)),
            mode,
            foreign: env::var_os("KSM_CHAOS_FOREIGN").is_some(),
        }
    }

    fn mode_of(&self, writer: usize) -> &'static str {
        match &*self.mode {
            "strict" => "strict",
            "mixed" if writer % 2 == 1 => "strict",
            _ => "optimistic",
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_changes_survive() {
    let settings = Settings::read();
    println!("seed {}, {} writers", settings.seed, settings.mode);
    let mut report = Report::default();
    let end = now() + millis(settings.length);
    for round in 0.. {
        let left = Duration::from_millis(end.saturating_sub(now()));
        if left.is_zero() {
            break;
        }
        report.add(run(&settings, settings.seed.wrapping_add(round), left.min(ROUND)).await.check());
    }
    print(&report);
    assert!(report.is_clean(), "seed {}", settings.seed);
    assert!(report.acknowledged > 0, "nothing was stored");
}

fn print(report: &Report) {
    println!("{} calls, {} acknowledged stores, of which met", report.calls, report.acknowledged);
    for fault in Fault::ALL {
        println!("{:>8}  {fault}", report.stores.get(&fault).copied().unwrap_or_default());
    }
    let Report { lost, twice, ghosts, late, foreign, .. } = report;
    for line in [lost, twice, ghosts, late].into_iter().flatten() {
        println!("{line}");
    }
    for line in foreign {
        println!("explained by a foreign write: {line}");
    }
    if !foreign.is_empty() {
        println!("lost to foreign writes: {}", foreign.len());
    }
    println!("lost: {}, twice: {}, ghosts: {}, late: {}", lost.len(), twice.len(), ghosts.len(), late.len());
}

/// Runs one round: a new secret, three to five writers, and a record of their calls.
async fn run(settings: &Settings, seed: u64, length: Duration) -> History {
    let emulator = Emulator::new("us-east-1");
    emulator.set_version_quota(None);
    let secret = emulator.secret(SECRET);
    let first = secret.overwrite(Value::Text("{}".into()));
    let server = Server::start(emulator).await.unwrap();
    let address = server.url().trim_start_matches("http://").parse().unwrap();
    let proxy = Proxy::new(address, first, seed);
    let folder = tempfile::tempdir().unwrap();
    let mut rng = Rng::with_seed(seed);
    let until = now() + millis(length);

    let mut writers = Vec::new();
    for index in 0..rng.usize(3..=5) {
        let url = proxy.listen(index).await;
        writers.push(Writer::start(index, url, settings.mode_of(index), until, folder.path()));
    }
    let foreign =
        settings.foreign.then(|| tokio::spawn(write_blindly(Arc::clone(&proxy), rng.fork(), until)));
    while now() < until {
        sleep(Duration::from_millis(rng.u64(100..1_000))).await;
        let mut victim = rng.usize(..writers.len());
        // At a random time, most victims are not sending the request that makes their version current.
        if rng.bool() {
            victim = proxy.next_write().await.unwrap_or(victim);
        }
        if rng.u8(..3) == 0 {
            // Mostly short, so that calls do not end as unknown.
            writers[victim].pause(Duration::from_millis(1 << rng.u32(6..13))).await;
        } else {
            writers[victim].kill().await;
        }
    }
    proxy.calm();
    if let Some(foreign) = foreign {
        foreign.await.unwrap();
    }
    let mut calls = Vec::new();
    for writer in writers {
        calls.push(writer.finish().await);
    }
    let (entries, met) = proxy.finish().await;
    for (writer, calls) in calls.iter_mut().enumerate() {
        attribute(calls, writer, &met);
    }
    let last = entries.last().map(|entry| &*entry.id);
    assert_eq!(current(&secret).as_deref(), last, "the record is not what the emulator holds");
    let versions = entries.into_iter().map(|entry| Version {
        at: entry.at,
        marks: marks(&entry.value),
        by: entry.by,
        foreign: entry.foreign,
    });
    History { versions: versions.collect(), calls: calls.concat(), deadline: millis(DEADLINE) }
}

fn current(secret: &Secret) -> Option<String> {
    let mut versions = secret.versions().into_iter();
    versions.find(|(_, labels)| labels.contains("AWSCURRENT")).map(|(id, _)| id)
}

/// The marks in a document.
fn marks(value: &str) -> Vec<String> {
    let document: Json = serde_json::from_str(value).unwrap();
    let marks = document["url"].as_str().unwrap_or_default();
    marks.split(',').filter(|mark| !mark.is_empty()).map(str::to_owned).collect()
}

/// A foreign writer, which reads, pauses, and writes regardless of other changes.
async fn write_blindly(proxy: Arc<Proxy>, mut rng: Rng, until: u64) {
    for number in 0.. {
        sleep(Duration::from_millis(rng.u64(500..3_000))).await;
        if now() >= until {
            return;
        }
        let get = Request::new("GetSecretValue", json!({ "SecretId": SECRET }));
        let reply = proxy.deliver(&get, Sender::Foreign).await.unwrap().json();
        let mut marks = marks(reply["SecretString"].as_str().unwrap());
        marks.push(format!("f.{number}"));
        sleep(Duration::from_millis(rng.u64(..200))).await;
        let body = json!({
            "SecretId": SECRET,
            "ClientRequestToken": format!("foreign-{:032}", rng.u64(..)),
            "SecretString": json!({ "url": marks.join(",") }).to_string(),
        });
        proxy.deliver(&Request::new("PutSecretValue", body), Sender::Foreign).await.unwrap();
    }
}
