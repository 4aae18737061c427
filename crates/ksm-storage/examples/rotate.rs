//! Replaces one client with another, in a single write: `cargo run --example rotate`.
//!
//! For a job that rotates a configuration while other programs read it, and while another job may rotate it, too.
#![allow(clippy::panic, clippy::print_stdout, reason = "it is an example")]

use ksm_storage::{ConfigKey, ConfigStorage, Error, ErrorKind, ExposeSecret, memory::MemoryBackend};

const STORED: &str =
    r#"{"hostname": "keepersecurity.com", "clientId": "old", "privateKey": "old", "appKey": "old"}"#;
/// The keys that identify a client. A mixture of two clients' keys is useless.
const CLIENT: [ConfigKey; 3] = [ConfigKey::ClientId, ConfigKey::PrivateKey, ConfigKey::AppKey];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let backend = MemoryBackend::from_config(STORED);
    let (one, other) = (ConfigStorage::open(backend.clone()).await?, ConfigStorage::open(backend).await?);

    // Both try to replace the same client at the same time.
    let (first, second) = tokio::join!(rotate(&one, "old", "blue"), rotate(&other, "old", "green"));
    let (winner, refused) = match (first, second) {
        (Ok(()), Err(refused)) => ("blue", refused),
        (Err(refused), Ok(())) => ("green", refused),
        both => panic!("one of them is refused, and one alone: {both:?}"),
    };
    println!("{winner} is in place; the other one: {refused}");
    assert_eq!(refused.kind(), ErrorKind::Refused);

    let stored = one.refresh().await?;
    assert!(CLIENT.iter().all(|&key| stored.get(key).is_some_and(|value| value.expose_secret() == winner)));
    Ok(())
}

/// Replaces the client `old` with `new`. If `old` is no longer in use, nothing is written.
async fn rotate(storage: &ConfigStorage, old: &'static str, new: &'static str) -> Result<(), Error> {
    // If another writer is faster, this runs again, on what that writer has stored.
    storage
        .update(move |document| {
            if document.get(ConfigKey::ClientId).is_none_or(|id| id.expose_secret() != old) {
                return Err(Error::refused("the client to be replaced is not in use any more"));
            }
            for key in CLIENT {
                document.set(key, new);
            }
            Ok(())
        })
        .await
}
