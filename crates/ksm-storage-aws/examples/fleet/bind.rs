//! A model of the Keeper bridge's bind: the same calls of the storage in the same order, without the cryptography, which
//! would take hours for a fleet. The bridge's own tests run the real bind, with a few clients.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use ksm_storage_core::{
    ConfigKey::{AppKey, ClientId, ClientKey, PrivateKey},
    ConfigStorage, Error, ErrorKind, ExposeSecret,
};
use tokio::time::{Instant, sleep, sleep_until};

/// The bridge's waits for another client with the same token.
const WAITS: [u64; 5] = [0, 250, 500, 1_000, 2_000];

/// The bridge's limit of attempts to store the application key, and its first and longest pause between two of them.
const RETRY_LIMIT: Duration = Duration::from_secs(30);
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(4)];

/// The error of a start that has bound, but could not store the application key.
pub(crate) const NOT_SAVED: &str = "NotSaved";

/// A model of Keeper's service for one token: it binds the first key pair that it sees, and returns the application key
/// to that pair once.
#[derive(Clone, Default)]
pub(crate) struct FakeService(Arc<Mutex<Option<Binding>>>);

/// The key pair that is bound, and the start that was given the application key.
struct Binding {
    pair: String,
    holder: u32,
}

impl FakeService {
    /// Returns true if this start is given the application key.
    async fn ask(&self, pair: &str, number: u32) -> bool {
        sleep(Duration::from_millis(50)).await;
        let mut bound = self.0.lock().expect("no start panics");
        let is_first = bound.is_none();
        bound.get_or_insert_with(|| Binding { pair: pair.to_owned(), holder: number });
        is_first
    }

    /// The key pair, if this start was given the application key for it.
    fn held_by(&self, number: u32) -> Option<String> {
        let bound = self.0.lock().expect("no start panics");
        bound.as_ref().filter(|binding| binding.holder == number).map(|binding| binding.pair.clone())
    }
}

/// Binds, or adopts the binding of another program. A start that has bound without storing the application key saves it
/// when it is repeated, as the runbook asks for.
pub(crate) async fn bind(storage: &ConfigStorage, number: u32, keeper: &FakeService) -> Result<(), String> {
    if let Some(pair) = keeper.held_by(number) {
        return store_key(storage, pair).await;
    }
    for _ in 0..8 {
        let found = storage.snapshot();
        if found.contains(AppKey) {
            return Ok(());
        }
        let pair = if let Some(pair) = found.get(PrivateKey) {
            pair.expose_secret().to_owned()
        } else {
            let pair = format!("pair {number}");
            if !store_pair(storage, pair.clone()).await.map_err(kind_name)? {
                continue;
            }
            pair
        };
        if keeper.ask(&pair, number).await {
            return store_key(storage, pair).await;
        }
        if !wait_for_another(storage).await.map_err(kind_name)? {
            return Err("TokenSpent".to_owned());
        }
    }
    Err("rounds".to_owned())
}

/// Returns false if another program has already stored its pair.
async fn store_pair(storage: &ConfigStorage, pair: String) -> Result<bool, Error> {
    let stored = storage.update(move |document| {
        if !document.is_empty() {
            return Err(Error::refused("another start was faster"));
        }
        document.set(ClientKey, "token");
        document.set(ClientId, "client");
        document.set(PrivateKey, pair.clone());
        Ok(true)
    });
    stored.await.or_else(|error| if error.kind() == ErrorKind::Refused { Ok(false) } else { Err(error) })
}

async fn store_key(storage: &ConfigStorage, pair: String) -> Result<(), String> {
    let (mut end, mut pause) = (None, PAUSES[0]);
    loop {
        let pair = pair.clone();
        let stored = storage.update(move |document| {
            if document.get(PrivateKey).is_none_or(|stored| stored.expose_secret() != pair) {
                return Err(Error::refused("the configuration was bound to another client meanwhile"));
            }
            document.set(AppKey, "key");
            Ok(())
        });
        let stored = stored.await;
        let end = *end.get_or_insert_with(|| Instant::now() + RETRY_LIMIT);
        match stored {
            // The mean of the bridge's jitter, which changes nothing: a single start makes these attempts.
            Err(error) if error.is_retryable() && Instant::now() < end => {
                sleep_until(end.min(Instant::now() + pause.mul_f64(0.75))).await;
                pause = (pause * 2).min(PAUSES[1]);
            }
            stored => return stored.map_err(|_| NOT_SAVED.to_owned()),
        }
    }
}

async fn wait_for_another(storage: &ConfigStorage) -> Result<bool, Error> {
    let before = storage.snapshot();
    for wait in WAITS {
        sleep(Duration::from_millis(wait)).await;
        let now = storage.refresh().await?;
        if now.contains(AppKey) || now.document() != before.document() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[expect(clippy::needless_pass_by_value, reason = "goes to map_err")]
fn kind_name(error: Error) -> String {
    debug_assert_ne!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    error.kind().as_str().to_owned()
}
