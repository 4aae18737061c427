//! Binds a stored configuration, if necessary, and starts a client on it.
//!
//! A bind is two conditional writes with one request between them. The key pair is stored before the request, because
//! Keeper ties the token to the first key pair that it sees. The application key is stored before any other request,
//! because Keeper may not return it again. Clients that start concurrently with one token adopt the key pair that was
//! stored first.

use std::{sync::Arc, time::Duration};

use ksm_storage_core::{
    BindState, ConfigDocument, ConfigKey, ConfigStorage, Error as StorageError, Location,
};

use crate::{
    Error, ErrorKind, Result,
    config::text,
    events::Event,
    group, keys,
    panics::Panic,
    post::{BindCheckpoint, Reply},
    session::{CallOutcome, Purpose, Session, blocking, run_detached},
    settings::Settings,
    token::Token,
};

/// Number of times that another client may intervene before this is considered a bug.
pub(crate) const ROUNDS: usize = 8;
/// Delays while waiting for another client with the same token, after Keeper has refused this one.
pub(crate) const WAITS: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// Policy for a stored configuration that belongs to another token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    Keep,
    Replace,
}

/// A session on a bound configuration.
pub(crate) struct Opened {
    pub(crate) session: Session,
    /// Result of the write that completed the bind, if there was one.
    pub(crate) stored: Result<(), StorageError>,
}

/// Next step towards a bound configuration.
enum BindStep {
    /// It is bound.
    Start,
    /// Its key pair may have been sent already: ask for the application key with that pair.
    Resume(ConfigDocument),
    /// It has no key pair: create one from this token and store it before asking.
    Begin(ConfigDocument, Token),
}

pub(crate) async fn open(
    storage: &ConfigStorage,
    settings: &Arc<Settings>,
    token: Option<Token>,
    existing: Existing,
) -> Result<Opened> {
    let location = storage.location();
    for _ in 0..ROUNDS {
        let found = storage.snapshot().document().clone();
        let session = match next(&found, token.as_ref(), existing, settings, &location)? {
            BindStep::Start => {
                let session = Session::start(found, Arc::clone(settings), Purpose::Work, &location).await?;
                return Ok(Opened { session, stored: Ok(()) });
            }
            BindStep::Resume(seed) => {
                Session::start(seed, Arc::clone(settings), Purpose::Bind(None), &location).await?
            }
            BindStep::Begin(seed, token) => {
                let purpose = Purpose::Bind(Some(token));
                let session = Session::start(seed, Arc::clone(settings), purpose, &location).await?;
                let stored = group::store_key_pair(storage, found, session.saved.clone()).await;
                if !stored.map_err(|error| Error::storage(error, location.clone()))? {
                    Event::OtherKeyPair.log(&location);
                    continue;
                }
                session
            }
        };
        let bind = bind(session, storage.clone(), Arc::clone(settings));
        match run_detached(&location, bind).await? {
            Some(opened) => return Ok(opened),
            None => wait_for_another(storage, &location).await?,
        }
        // A refused token must not replace a binding that another client has made meanwhile.
        let other = |token| group::belongs_to_another(storage.snapshot().document(), token);
        if existing == Existing::Replace && token.as_ref().is_some_and(other) {
            break;
        }
    }
    Err(Error::new(ErrorKind::TokenSpent, location))
}

/// Chooses the next step. The SDK is given a token only if no stored key pair belongs to it: it would create another
/// pair, while Keeper knows the first.
fn next(
    found: &ConfigDocument,
    token: Option<&Token>,
    existing: Existing,
    settings: &Settings,
    location: &Location,
) -> Result<BindStep> {
    let error = |kind| Err(Error::new(kind, location.clone()));
    if group::is_foreign(found) {
        return Err(Error::foreign(found, location.clone()));
    }
    if let Some(token) = token
        && group::belongs_to_another(found, token)
    {
        if existing == Existing::Keep {
            return match keys::first_invalid(found) {
                Some((key @ ConfigKey::ClientId, why)) => Err(Error::invalid_key(key, why, location.clone())),
                _ => error(ErrorKind::TokenMismatch),
            };
        }
        // Another host has another server key.
        let mut seed = if token.host().is_some() { ConfigDocument::new() } else { group::server_only(found) };
        settings.apply(&mut seed, Some(token));
        return begin(seed, token.clone(), location);
    }
    let mut seed = found.clone();
    let is_bound = found.bind_state() == BindState::Bound;
    if !is_bound {
        settings.apply(&mut seed, token);
    }
    let has_key_pair = group::has_key_pair(found);
    if has_key_pair {
        if let Some(token) = token.filter(|_| !is_bound) {
            seed.set(ConfigKey::ClientKey, token.key());
        }
        if let Some((key, why)) = keys::first_invalid(&seed) {
            return Err(Error::invalid_key(key, why, location.clone()));
        }
        if is_bound {
            return Ok(BindStep::Start);
        }
    }
    match (token, text(&seed, ConfigKey::ClientKey)) {
        (None, None) => error(ErrorKind::Unbound),
        (_, Some(_)) if has_key_pair => Ok(BindStep::Resume(seed)),
        _ if group::count_foreign(found) > 0 => Err(Error::foreign(found, location.clone())),
        (Some(token), _) => begin(seed, token.clone(), location),
        // An unbound configuration stored by another SDK, or by a person.
        (None, Some(key)) => match Token::parse(&key.into()) {
            Ok(token) => begin(seed, token, location),
            Err(why) => Err(Error::invalid_key(ConfigKey::ClientKey, why, location.clone())),
        },
    }
}

fn begin(seed: ConfigDocument, token: Token, location: &Location) -> Result<BindStep> {
    let seed = group::without_credentials(seed);
    match keys::first_invalid(&seed) {
        // The given token replaces the stored one.
        None | Some((ConfigKey::ClientKey, _)) => Ok(BindStep::Begin(seed, token)),
        Some((key, why)) => Err(Error::invalid_key(key, why, location.clone())),
    }
}

/// Asks Keeper for the application key and stores it. Returns `None` if Keeper does not return the key to this client.
///
/// Between Keeper's reply and the write, the application key exists only here, so this future must not be dropped.
async fn bind(session: Session, storage: ConfigStorage, settings: Arc<Settings>) -> Result<Option<Opened>> {
    let location = storage.location();
    let Some(bound) = ask(session, &location).await? else { return Ok(None) };
    let wanted = bound.config(&location)?;
    // First of all: a failing start would lose the key.
    let stored = group::store_new(&storage, wanted.clone()).await;
    let session = Session::start(wanted, settings, Purpose::Work, &location).await?;
    Ok(Some(Opened { session, stored }))
}

/// The session with the application key; `None` if Keeper does not return the key to this client.
async fn ask(mut session: Session, location: &Location) -> Result<Option<Session>> {
    let run = move || {
        let outcome = session.run(|manager| manager.get_secrets(Vec::new()));
        (session, outcome)
    };
    let (session, outcome) = blocking(location, run).await?;
    // Regardless of the result: the call was stopped at the checkpoint.
    if text(&session.config(location)?, ConfigKey::AppKey).is_some() {
        return Ok(Some(session));
    }
    let reply = session.last_reply();
    // Another client with this token may have been faster. No other client changes the address that Keeper has locked
    // it to.
    let refused = matches!(&reply, Some(Reply::Refused(refusal)) if refusal.code == "access_denied" && !refusal.ip_locked);
    match outcome {
        CallOutcome::Panicked(panic) => {
            let place = if let Panic::Sdk(place) = panic { place } else { None };
            Err(Error::panicked("binding the client", place, location.clone()))
        }
        _ if refused || session.checkpoint() == Some(BindCheckpoint::Reached) => Ok(None),
        CallOutcome::Failed(error) => Err(Error::sdk(&error, reply, location.clone())),
        CallOutcome::Returned(_) => Ok(None),
    }
}

/// Gives another client with the same token time to store the application key that it received.
async fn wait_for_another(storage: &ConfigStorage, location: &Location) -> Result<()> {
    let before = storage.snapshot();
    for wait in WAITS {
        tokio::time::sleep(wait).await;
        let now = storage.refresh().await.map_err(|error| Error::storage(error, location.clone()))?;
        // `before` may already be the other's binding, if it used a clone of this handle. Keeper is asked only while
        // nothing bound is stored, so a binding can only be the other's.
        let bound = now.bind_state() == BindState::Bound;
        if bound || !group::is_same(before.document(), now.document()) {
            return Ok(());
        }
    }
    Err(Error::new(ErrorKind::TokenSpent, location.clone()))
}
