//! The group of keys that make up one Keeper client.
//!
//! They are stored, compared and adopted together, because a mixture of two clients' keys would be useless. All writes
//! of the bridge are in this module.

use std::time::Duration;

use ksm_storage_core::{
    BindState, ConfigDocument, ConfigKey, ConfigStorage, Error as StorageError,
    ErrorKind as StorageErrorKind, Outcome,
};
use tokio::time::{Instant, sleep};

use crate::{
    config::{copy, differing, text},
    events::Event,
    token::Token,
};

/// The credentials that a bind creates.
const CREDENTIALS: [ConfigKey; 3] = [ConfigKey::AppKey, ConfigKey::ClientId, ConfigKey::PrivateKey];
/// Keys of a client that only some SDKs write: Ruby's, and Java's and Go's.
const OTHER_SDKS: [&str; 2] = ["appUid", "publicKey"];
/// The keys that are kept when the client is replaced.
const SERVER: [ConfigKey; 3] =
    [ConfigKey::Hostname, ConfigKey::ServerPublicKey, ConfigKey::ServerPublicKeyId];

/// The time during which a failed write of a new application key is tried again.
pub(crate) const RETRY_LIMIT: Duration = Duration::from_secs(30);
/// The first pause between two such attempts, without jitter over its upper half; doubled each time.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(500);
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// Returns true if `one` and `other` hold the same client with the same settings.
pub(crate) fn is_same(one: &ConfigDocument, other: &ConfigDocument) -> bool {
    differing(one, other).is_empty()
}

/// Returns true if `one` and `other` hold the same credentials.
pub(crate) fn is_same_client(one: &ConfigDocument, other: &ConfigDocument) -> bool {
    CREDENTIALS.iter().all(|&key| text(one, key) == text(other, key))
}

pub(crate) fn belongs_to_another(found: &ConfigDocument, token: &Token) -> bool {
    let client_id = text(found, ConfigKey::ClientId);
    client_id.is_some_and(|client_id| token.client_id() != client_id)
}

pub(crate) fn has_key_pair(found: &ConfigDocument) -> bool {
    [ConfigKey::ClientId, ConfigKey::PrivateKey].iter().all(|&key| text(found, key).is_some())
}

/// Removes remnants of a client. The SDK would use them, and mistake an application key for Keeper's reply.
pub(crate) fn without_credentials(mut found: ConfigDocument) -> ConfigDocument {
    for key in CREDENTIALS {
        found.remove(key);
    }
    found
}

/// Removes the public key of an isolated server.
pub(crate) fn remove_server_key(document: &mut ConfigDocument) {
    document.remove(ConfigKey::ServerPublicKey);
    document.remove(ConfigKey::ServerPublicKeyId);
}

/// The number of keys unknown to every Keeper SDK.
pub(crate) fn count_foreign(document: &ConfigDocument) -> usize {
    let is_known = |name: &str| name.parse::<ConfigKey>().is_ok() || OTHER_SDKS.contains(&name);
    document.names().filter(|name| !is_known(name)).count()
}

/// Returns true if there are keys, none of which belongs to a Keeper client.
pub(crate) fn is_foreign(document: &ConfigDocument) -> bool {
    let count = document.names().count();
    count > 0 && count_foreign(document) == count
}

/// Returns true if the configuration is nested under a key, as stored by the AWS console's key/value editor.
pub(crate) fn is_wrapped(document: &ConfigDocument) -> bool {
    document.names().any(|name| name == "KSM_CONFIG")
}

/// Keeps only the server's keys.
pub(crate) fn server_only(found: &ConfigDocument) -> ConfigDocument {
    let mut server = ConfigDocument::new();
    copy(&mut server, found, &SERVER);
    server
}

/// Stores a new key pair. Returns `false` if another writer has changed the group since `found` was read.
pub(crate) async fn store_key_pair(
    storage: &ConfigStorage,
    found: ConfigDocument,
    wanted: ConfigDocument,
) -> Result<bool, StorageError> {
    let stored = storage.update(move |stored| {
        if !is_same(stored, &found) {
            return Err(StorageError::refused("another writer has changed the configuration"));
        }
        copy(stored, &wanted, ConfigKey::ALL);
        Ok(true)
    });
    let is_refusal = |error: &StorageError| error.kind() == StorageErrorKind::Refused;
    stored.await.or_else(|error| if is_refusal(&error) { Ok(false) } else { Err(error) })
}

/// Stores the whole group of a client that Keeper has bound, unless another client's group is stored. If the client is
/// already stored, stores only the keys that have `changed` since.
pub(crate) async fn store_bound(
    storage: &ConfigStorage,
    wanted: ConfigDocument,
    changed: Vec<ConfigKey>,
) -> Result<(), StorageError> {
    let stored = storage.update(move |stored| {
        let same = |key| text(stored, key) == text(&wanted, key);
        if text(stored, ConfigKey::ClientId).is_some() && !same(ConfigKey::ClientId) {
            return Err(StorageError::refused("the configuration was bound to another client meanwhile")
                .with_hint("leave it, or rebind"));
        }
        let bound = stored.bind_state() == BindState::Bound;
        let is_stored = bound && same(ConfigKey::PrivateKey) && same(ConfigKey::AppKey);
        copy(stored, &wanted, if is_stored { &changed } else { ConfigKey::ALL });
        Ok(())
    });
    let tolerable = |error: &StorageError| error.outcome() == Outcome::Applied;
    stored.await.or_else(|error| tolerate(storage, error, tolerable))
}

/// Stores the group of a client that Keeper has just bound, and tries again after a failure that may pass: the application
/// key exists only here, and Keeper may not return it again. An attempt whose result is unknown may have stored it, which
/// the load of the next attempt shows.
pub(crate) async fn store_new(storage: &ConfigStorage, wanted: ConfigDocument) -> Result<(), StorageError> {
    let (mut end, mut pause, mut unknown) = (None, FIRST_PAUSE, false);
    loop {
        let stored = store_bound(storage, wanted.clone(), Vec::new()).await.map_err(|error| {
            unknown |= error.outcome() == Outcome::Unknown;
            // An earlier attempt may have stored it, whatever this one ends in.
            if unknown { error.with_outcome(Outcome::Unknown) } else { error }
        });
        let now = Instant::now();
        let left = end.get_or_insert(now + RETRY_LIMIT).saturating_duration_since(now);
        match stored {
            Err(error) if error.is_retryable() && !left.is_zero() => {
                // The last attempt is made at the end.
                let wait = pause.mul_f64(1.0 - fastrand::f64() / 2.0).min(left);
                Event::Retry { error: &error, wait }.log(&storage.location());
                sleep(wait).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            stored => return stored,
        }
    }
}

/// Stores the keys that a call has changed. For a read-only storage, the change is dropped.
pub(crate) async fn store_changed(
    storage: &ConfigStorage,
    wanted: ConfigDocument,
    changed: Vec<ConfigKey>,
) -> Result<(), StorageError> {
    if changed.is_empty() {
        return Ok(());
    }
    let stored = storage.update(move |stored| {
        copy(stored, &wanted, &changed);
        Ok(())
    });
    let tolerable = |error: &StorageError| {
        error.outcome() == Outcome::Applied
            || matches!(error.kind(), StorageErrorKind::ReadOnly | StorageErrorKind::Unsupported)
    };
    stored.await.or_else(|error| tolerate(storage, error, tolerable))
}

/// Turns a tolerable error into a warning, because the call itself has succeeded.
fn tolerate(
    storage: &ConfigStorage,
    error: StorageError,
    tolerable: impl Fn(&StorageError) -> bool,
) -> Result<(), StorageError> {
    if !tolerable(&error) {
        return Err(error);
    }
    Event::Tolerated { error: &error }.log(&storage.location());
    Ok(())
}
