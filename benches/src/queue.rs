//! The write queue under load, over HTTP.

use std::time::Instant;

use ksm_storage_aws::AwsSecretStorage;
use ksm_storage_core::{ConfigKey, ConfigStorage};
use ksm_storage_emulator::Server;
use tokio::task::JoinSet;

use crate::{
    Result,
    samples::{Samples, float},
    service,
};

pub(crate) const WRITERS: usize = 64;

pub(crate) struct Queue {
    /// The duration of each write by a single writer, in milliseconds.
    pub(crate) one: Samples,
    /// The duration of each write by [`WRITERS`] concurrent writers, in milliseconds.
    pub(crate) many: Samples,
    /// The throughput of many writers divided by that of a single writer.
    pub(crate) speed_up: f64,
}

pub(crate) async fn measure(times: usize) -> Result<Queue> {
    let server = Server::start(service::emulator("{}")).await?;
    let storage = AwsSecretStorage::from_custom_config(service::NAME, "AKIA", "key", "us-east-1");
    let storage = storage.endpoint_url(server.url()).open().await?;
    let (one, alone) = write(&storage, 1, times).await?;
    let (many, together) = write(&storage, WRITERS, times).await?;
    Ok(Queue { one, many, speed_up: together / alone })
}

/// Runs `each` writes by each of `writers` writers. Returns the duration of each write, and the writes per second.
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
