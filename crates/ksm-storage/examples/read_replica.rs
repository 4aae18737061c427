//! A read-only replica for many workers, refreshed by one task: `cargo run --example read_replica`.
//!
//! For a service whose configuration somebody else binds and rotates. On AWS, open the replica with
//! `AwsSecretStorage::from_default_config("ksm-config").read_only().open()`: its role needs only `GetSecretValue`, and
//! all workers together cost one call per period.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "it is an example")]

use std::time::Duration;

use ksm_storage::{ConfigKey, ConfigStorage, Error, ErrorKind, ExposeSecret, memory::MemoryBackend};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

/// In production, use minutes.
const PERIOD: Duration = Duration::from_millis(10);
const OLD: &str = "keepersecurity.com";
const NEW: &str = "keepersecurity.eu";

#[tokio::main]
async fn main() -> Result<(), Error> {
    let backend = MemoryBackend::from_config(format!(r#"{{"hostname": "{OLD}"}}"#));
    let replica = ConfigStorage::builder(backend.clone()).read_only().open().await?;
    let refresher = tokio::spawn(keep_fresh(replica.clone()));
    // Clones share one snapshot, and reading it takes no lock.
    let mut workers: JoinSet<_> = (1..=4).map(|worker| work(worker, replica.clone())).collect();

    // The writer would usually be another process.
    ConfigStorage::open(backend).await?.set(ConfigKey::Hostname, NEW).await?;

    let all = async { while workers.join_next().await.is_some_and(|worker| worker.is_ok()) {} };
    timeout(Duration::from_secs(10), all).await.expect("every worker sees the new host name");
    assert!(workers.is_empty(), "a worker failed");
    refresher.abort();

    let refused = replica.set(ConfigKey::Hostname, OLD).await.expect_err("it was opened read-only");
    println!("a write: {refused}");
    assert_eq!(refused.kind(), ErrorKind::ReadOnly);
    Ok(())
}

async fn keep_fresh(replica: ConfigStorage) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = replica.refresh().await {
            println!("{error}; reads continue with the last snapshot");
        }
    }
}

/// Handles requests until the new host name appears.
async fn work(worker: usize, replica: ConfigStorage) {
    let mut requests = 0;
    loop {
        requests += 1;
        // A snapshot instead of a guard, because it is held during the whole request.
        let config = replica.snapshot();
        sleep(Duration::from_millis(1)).await;
        let hostname = config.get(ConfigKey::Hostname).expect("it is never removed").expose_secret();
        if hostname == NEW {
            println!("worker {worker}: {hostname} from request {requests} on");
            return;
        }
        assert_eq!(hostname, OLD);
    }
}
