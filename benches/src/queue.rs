//! The queue of writes under load, over HTTP.

use std::time::Instant;

use ksm_storage_aws::AwsSecretStorage;
use ksm_storage_core::{ConfigKey, ConfigStorage};
use ksm_storage_emulator::{Action, Server};
use tokio::task::JoinSet;

use crate::{
    Result,
    samples::{Samples, float},
    service,
};

pub(crate) const BURST: usize = 1_000;
pub(crate) const WRITERS: usize = 64;

#[derive(Default)]
pub(crate) struct Queue {
    /// Put calls for a burst of [`BURST`] concurrent calls of `set`.
    pub(crate) puts: usize,
    /// The time of each write of one writer, in milliseconds.
    pub(crate) one: Samples,
    /// The time of each write of [`WRITERS`] concurrent writers.
    pub(crate) many: Samples,
    /// Writes in a second of many writers, by those of one who waits for each.
    pub(crate) speed_up: f64,
}

pub(crate) async fn measure(times: usize) -> Result<Queue> {
    let server = Server::start(service::emulator("{}")).await?;
    let storage = open(&server.url()).await?;

    let before = server.emulator().calls(Action::PutSecretValue);
    let mut burst = JoinSet::new();
    for number in 0..BURST {
        let storage = storage.clone();
        burst.spawn(async move { storage.set(ConfigKey::Url, number.to_string()).await });
    }
    while let Some(done) = burst.join_next().await {
        done??;
    }
    let puts = server.emulator().calls(Action::PutSecretValue) - before;

    let (one, alone) = write(&storage, 1, times).await?;
    let (many, together) = write(&storage, WRITERS, times).await?;
    Ok(Queue { puts, one, many, speed_up: together / alone })
}

pub(crate) async fn open(url: &str) -> Result<ConfigStorage> {
    let storage = AwsSecretStorage::from_custom_config("ksm-config", "AKIA", "key", "us-east-1");
    Ok(storage.endpoint_url(url).open().await?)
}

/// So many writes of each of so many writers: how long they took, and how many there were in a second.
async fn write(storage: &ConfigStorage, writers: usize, each: usize) -> Result<(Samples, f64)> {
    let start = Instant::now();
    let mut running = JoinSet::new();
    for writer in 0..writers {
        let storage = storage.clone();
        running.spawn(async move {
            let mut times = Vec::with_capacity(each);
            for number in 0..each {
                let start = Instant::now();
                storage.set(ConfigKey::Url, format!("{writer} {number}")).await?;
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
            Ok::<_, ksm_storage_core::Error>(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = running.join_next().await {
        times.extend(done??);
    }
    let rate = float(times.len()) / start.elapsed().as_secs_f64();
    Ok((Samples(times), rate))
}
