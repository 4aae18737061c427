//! Changes one configuration from several threads, without an async runtime: `cargo run --example blocking`.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "it is an example")]

use std::thread;

use ksm_storage::{ConfigKey, Error, ExposeSecret, blocking::ConfigStorage, memory::MemoryBackend};

fn main() -> Result<(), Error> {
    let storage = ConfigStorage::open_or_create(MemoryBackend::new())?;
    storage.set(ConfigKey::ServerPublicKeyId, "0")?;
    thread::scope(|scope| {
        let workers: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..25).try_for_each(|_| increment(&storage)))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no worker panics"))
    })?;
    let count = storage.get(ConfigKey::ServerPublicKeyId).expect("it was set above");
    println!("4 threads, 25 increments each: {}", count.expose_secret());
    assert_eq!(count.expose_secret(), "100");
    Ok(())
}

fn increment(storage: &ConfigStorage) -> Result<(), Error> {
    storage.update(|document| {
        let count = document
            .get(ConfigKey::ServerPublicKeyId)
            .and_then(|count| count.expose_secret().parse::<u64>().ok())
            .ok_or_else(|| Error::refused("there is no number to count up"))?;
        document.set(ConfigKey::ServerPublicKeyId, (count + 1).to_string());
        Ok(())
    })
}
