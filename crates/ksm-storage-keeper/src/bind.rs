//! From what is stored to a client that works.
//!
//! A bind is two conditional writes with one request between them. The key pair is stored before the request, for
//! Keeper ties the token to the first key pair that it sees; the application key is stored before any other request,
//! for Keeper may not give it again. Clients that start with one token at the same time adopt the key pair that was
//! stored first.

use std::{sync::Arc, time::Duration};

use ksm_storage_core::{BindState, ConfigDocument, ConfigKey, ConfigStorage, Error as StorageError};
use tracing::debug;

use crate::{
    Error, ErrorKind, KeeperClient, Result,
    builder::Settings,
    client::store_group,
    config::{copy, differing, text},
    post::Reply,
    session::{Ended, Purpose, Session, blocking, to_the_end},
    token::Token,
};

/// How often another client may get in between before that is taken for a defect.
const ROUNDS: usize = 8;
/// How long another client with the same token is waited for, once Keeper has refused this one.
const WAITS: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// What is to become of a stored configuration that belongs to another token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    Keep,
    Replace,
}

/// What a stored configuration asks for.
enum Step {
    /// It is bound.
    Start,
    /// It has a key pair that may have been sent: ask for the application key with that one.
    Resume(ConfigDocument),
    /// It has none: make one from this token, and store it first.
    Begin(ConfigDocument, Token),
}

pub(crate) async fn open(
    storage: ConfigStorage,
    settings: Arc<Settings>,
    token: Option<Token>,
    stored: Stored,
) -> Result<KeeperClient> {
    let location = storage.location();
    for _ in 0..ROUNDS {
        let found = storage.snapshot().document().clone();
        let session = match next(&found, token.as_ref(), stored, &storage)? {
            Step::Start => {
                let session = Session::start(found, Arc::clone(&settings), Purpose::Work, &location).await?;
                return Ok(KeeperClient::new(storage, settings, session));
            }
            Step::Resume(seed) => {
                Session::start(seed, Arc::clone(&settings), Purpose::Bind(None), &location).await?
            }
            Step::Begin(seed, token) => {
                let purpose = Purpose::Bind(Some(token));
                let session = Session::start(seed, Arc::clone(&settings), purpose, &location).await?;
                if !store_key_pair(&storage, found, &session.saved).await? {
                    debug!(%location, "another client stored a key pair first");
                    continue;
                }
                session
            }
        };
        let bind = bind(session, storage.clone(), Arc::clone(&settings));
        match to_the_end(&location, bind).await? {
            Some(client) => return Ok(client),
            None => wait_for_another(&storage, &location).await?,
        }
        // A refused token replaces nothing that another one has bound meanwhile.
        let other = |token| belongs_to_another(storage.snapshot().document(), token);
        if stored == Stored::Replace && token.as_ref().is_some_and(other) {
            break;
        }
    }
    Err(Error::new(ErrorKind::TokenSpent, location))
}

/// What to do with what is stored. The SDK gets a token only where no stored key pair belongs to it: it would make
/// another pair, and Keeper knows the first.
fn next(
    found: &ConfigDocument,
    token: Option<&Token>,
    stored: Stored,
    storage: &ConfigStorage,
) -> Result<Step> {
    let error = |kind| Err(Error::new(kind, storage.location()));
    let of = |key| text(found, key);
    if let Some(token) = token
        && belongs_to_another(found, token)
    {
        if stored == Stored::Keep {
            return error(ErrorKind::TokenMismatch);
        }
        // Another host has another server key.
        let seed = if token.names_host() { ConfigDocument::new() } else { without_credentials(found) };
        return Ok(Step::Begin(seed, token.clone()));
    }
    if found.bind_state() == BindState::Bound {
        return Ok(Step::Start);
    }
    let mut seed = found.clone();
    let has_key_pair = of(ConfigKey::ClientId).is_some() && of(ConfigKey::PrivateKey).is_some();
    match (token, of(ConfigKey::ClientKey)) {
        (None, None) => error(ErrorKind::Unbound),
        (_, Some(_)) if has_key_pair => Ok(Step::Resume(seed)),
        (Some(token), None) if has_key_pair => {
            seed.set(ConfigKey::ClientKey, token.key());
            Ok(Step::Resume(seed))
        }
        (Some(token), _) => Ok(Step::Begin(without_client(seed), token.clone())),
        // The start of a configuration that another SDK, or a person, has stored.
        (None, Some(key)) => match Token::parse(&key.into()) {
            Ok(token) => Ok(Step::Begin(without_client(seed), token)),
            Err(why) => Err(Error::invalid_token(storage.location(), why)),
        },
    }
}

fn belongs_to_another(found: &ConfigDocument, token: &Token) -> bool {
    let client_id = text(found, ConfigKey::ClientId);
    client_id.is_some_and(|client_id| token.client_id() != client_id)
}

/// Without what is left of a client, which the SDK would take for its own, and its key for Keeper's answer.
fn without_client(mut seed: ConfigDocument) -> ConfigDocument {
    for key in [ConfigKey::AppKey, ConfigKey::ClientId, ConfigKey::PrivateKey] {
        seed.remove(key);
    }
    seed
}

fn without_credentials(found: &ConfigDocument) -> ConfigDocument {
    let mut rest = ConfigDocument::new();
    copy(&mut rest, found, &[ConfigKey::Hostname, ConfigKey::ServerPublicKey, ConfigKey::ServerPublicKeyId]);
    rest
}

/// Whether the key pair is stored; not so if anything that concerns a client has changed since `found`.
async fn store_key_pair(
    storage: &ConfigStorage,
    found: ConfigDocument,
    wanted: &ConfigDocument,
) -> Result<bool> {
    let wanted = wanted.clone();
    let stored = storage.update(move |stored| {
        let unchanged = differing(stored, &found).is_empty();
        if unchanged {
            copy(stored, &wanted, ConfigKey::ALL);
        }
        Ok::<_, StorageError>(unchanged)
    });
    stored.await.map_err(|error| Error::storage(error, storage.location()))
}

/// Between Keeper's answer and its being stored the application key is nowhere else, so that this is not to be dropped.
async fn bind(
    session: Session,
    storage: ConfigStorage,
    settings: Arc<Settings>,
) -> Result<Option<KeeperClient>> {
    match ask(session, &storage).await? {
        Some(bound) => store_app_key(storage, settings, bound).await.map(Some),
        None => Ok(None),
    }
}

/// The session with the application key; none if Keeper does not give it to this client.
async fn ask(mut session: Session, storage: &ConfigStorage) -> Result<Option<Session>> {
    let location = storage.location();
    let run = move || {
        let ended = session.run(|manager| manager.get_secrets(Vec::new()));
        (session, ended)
    };
    let (session, ended) = blocking(&location, run).await?;
    // However the call ended: it was stopped on purpose once the key was there.
    if text(&session.config(&location)?, ConfigKey::AppKey).is_some() {
        return Ok(Some(session));
    }
    let reply = session.last_reply();
    let refused = match &reply {
        Some(Reply::Accepted) => true,
        Some(Reply::Refused { code, .. }) => code == "access_denied",
        _ => false,
    };
    match ended {
        _ if refused => Ok(None),
        Ended::Failed(error) => Err(Error::sdk(&error, reply, location)),
        Ended::Panicked => Err(Error::new(ErrorKind::Panicked, location)),
        Ended::Returned(_) => Ok(None),
    }
}

/// Gives another client with the same token the time to store what Keeper gave to it.
async fn wait_for_another(storage: &ConfigStorage, location: &ksm_storage_core::Location) -> Result<()> {
    let before = storage.snapshot();
    for wait in WAITS {
        tokio::time::sleep(wait).await;
        let now = storage.refresh().await.map_err(|error| Error::storage(error, location.clone()))?;
        // Through a clone of this handle `before` may show the other's binding already. Nothing bound is stored when
        // Keeper is asked, so that it can only be another's.
        let bound = now.bind_state() == BindState::Bound;
        if bound || !differing(before.document(), now.document()).is_empty() {
            return Ok(());
        }
    }
    Err(Error::new(ErrorKind::TokenSpent, location.clone()))
}

/// Stores the whole group of keys, and opens a client on it. A group made of two clients' keys would open nothing.
async fn store_app_key(
    storage: ConfigStorage,
    settings: Arc<Settings>,
    bound: Session,
) -> Result<KeeperClient> {
    let location = storage.location();
    let wanted = bound.config(&location)?;
    // First of all: a start that fails would take the key with it.
    let stored = store_group(&storage, wanted.clone(), Vec::new()).await;
    let session = Session::start(wanted, Arc::clone(&settings), Purpose::Work, &location).await?;
    let client = KeeperClient::new(storage, settings, session);
    match client.bound(stored).await {
        Ok(()) => Ok(client),
        Err(error) => Err(Error::not_saved(error, client)),
    }
}
