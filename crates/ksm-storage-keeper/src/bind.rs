//! From what is stored to a client that works.
//!
//! A bind is two conditional writes with one request between them. The key pair is stored before the request, for
//! Keeper ties the token to the first key pair that it sees; the application key is stored before any other request,
//! for Keeper may not give it again. Clients that start with one token at the same time adopt the key pair that was
//! stored first.

use std::{sync::Arc, time::Duration};

use ksm_storage_core::{
    BindState, ConfigDocument, ConfigKey, ConfigStorage, Error as StorageError, Location,
};
use tracing::debug;

use crate::{
    Error, ErrorKind, Result,
    config::text,
    group,
    post::{BindCheckpoint, Reply},
    session::{CallOutcome, Purpose, Session, blocking, run_detached},
    settings::Settings,
    token::Token,
};

/// The number of times that another client may get in between before that is taken for a defect.
const ROUNDS: usize = 8;
/// The time to wait for another client with the same token, once Keeper has refused this one.
const WAITS: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// Fate of a stored configuration that belongs to another token.
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
enum Step {
    /// It is bound.
    Start,
    /// It has a key pair that may have been sent: ask for the application key with that one.
    Resume(ConfigDocument),
    /// It has none: make one from this token, and store it first.
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
        let session = match next(&found, token.as_ref(), existing, &location)? {
            Step::Start => {
                let session = Session::start(found, Arc::clone(settings), Purpose::Work, &location).await?;
                return Ok(Opened { session, stored: Ok(()) });
            }
            Step::Resume(seed) => {
                Session::start(seed, Arc::clone(settings), Purpose::Bind(None), &location).await?
            }
            Step::Begin(seed, token) => {
                let purpose = Purpose::Bind(Some(token));
                let session = Session::start(seed, Arc::clone(settings), purpose, &location).await?;
                let stored = group::store_key_pair(storage, found, session.saved.clone()).await;
                if !stored.map_err(|error| Error::storage(error, location.clone()))? {
                    debug!(%location, "another client stored a key pair first");
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
        // A refused token replaces nothing that another one has bound meanwhile.
        let other = |token| group::belongs_to_another(storage.snapshot().document(), token);
        if existing == Existing::Replace && token.as_ref().is_some_and(other) {
            break;
        }
    }
    Err(Error::new(ErrorKind::TokenSpent, location))
}

/// Chooses the next step. The SDK gets a token only where no stored key pair belongs to it: it would make another pair,
/// and Keeper knows the first.
fn next(
    found: &ConfigDocument,
    token: Option<&Token>,
    existing: Existing,
    location: &Location,
) -> Result<Step> {
    let error = |kind| Err(Error::new(kind, location.clone()));
    if let Some(token) = token
        && group::belongs_to_another(found, token)
    {
        if existing == Existing::Keep {
            return error(ErrorKind::TokenMismatch);
        }
        // Another host has another server key.
        let seed = if token.names_host() { ConfigDocument::new() } else { group::server_only(found) };
        return Ok(Step::Begin(seed, token.clone()));
    }
    if found.bind_state() == BindState::Bound {
        return Ok(Step::Start);
    }
    let mut seed = found.clone();
    let has_key_pair = group::has_key_pair(found);
    match (token, text(found, ConfigKey::ClientKey)) {
        (None, None) => error(ErrorKind::Unbound),
        (_, Some(_)) if has_key_pair => Ok(Step::Resume(seed)),
        (Some(token), None) if has_key_pair => {
            seed.set(ConfigKey::ClientKey, token.key());
            Ok(Step::Resume(seed))
        }
        (Some(token), _) => Ok(Step::Begin(group::without_credentials(seed), token.clone())),
        // The start of a configuration that another SDK, or a person, has stored.
        (None, Some(key)) => match Token::parse(&key.into()) {
            Ok(token) => Ok(Step::Begin(group::without_credentials(seed), token)),
            Err(why) => Err(Error::invalid_token(location.clone(), why)),
        },
    }
}

/// Asks Keeper for the application key and stores it. `None` if Keeper does not give it to this client.
///
/// Between Keeper's answer and its being stored the application key is nowhere else, so that this is not to be dropped.
async fn bind(session: Session, storage: ConfigStorage, settings: Arc<Settings>) -> Result<Option<Opened>> {
    let location = storage.location();
    let Some(bound) = ask(session, &location).await? else { return Ok(None) };
    let wanted = bound.config(&location)?;
    // First of all: a start that fails would take the key with it.
    let stored = group::store_bound(&storage, wanted.clone(), Vec::new()).await;
    let session = Session::start(wanted, settings, Purpose::Work, &location).await?;
    Ok(Some(Opened { session, stored }))
}

/// The session with the application key; `None` if Keeper does not give it to this client.
async fn ask(mut session: Session, location: &Location) -> Result<Option<Session>> {
    let run = move || {
        let outcome = session.run(|manager| manager.get_secrets(Vec::new()));
        (session, outcome)
    };
    let (session, outcome) = blocking(location, run).await?;
    // Whatever the outcome: the call was stopped at the checkpoint.
    if text(&session.config(location)?, ConfigKey::AppKey).is_some() {
        return Ok(Some(session));
    }
    let reply = session.last_reply();
    let refused = matches!(&reply, Some(Reply::Refused { code, .. }) if code == "access_denied");
    match outcome {
        _ if refused || session.checkpoint() == Some(BindCheckpoint::Reached) => Ok(None),
        CallOutcome::Failed(error) => Err(Error::sdk(&error, reply, location.clone())),
        CallOutcome::Panicked => Err(Error::new(ErrorKind::Panicked, location.clone())),
        CallOutcome::Returned(_) => Ok(None),
    }
}

/// Gives another client with the same token the time to store what Keeper gave to it.
async fn wait_for_another(storage: &ConfigStorage, location: &Location) -> Result<()> {
    let before = storage.snapshot();
    for wait in WAITS {
        tokio::time::sleep(wait).await;
        let now = storage.refresh().await.map_err(|error| Error::storage(error, location.clone()))?;
        // Through a clone of this handle `before` may show the other's binding already. Nothing bound is stored when
        // Keeper is asked, so that it can only be another's.
        let bound = now.bind_state() == BindState::Bound;
        if bound || !group::is_same(before.document(), now.document()) {
            return Ok(());
        }
    }
    Err(Error::new(ErrorKind::TokenSpent, location.clone()))
}
