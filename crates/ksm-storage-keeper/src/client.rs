use std::{fmt, panic, sync::Arc};

use keeper_secrets_manager_core::{KSMRError, Record, SecretsManager};
use ksm_storage_core::{
    BindState, ConfigStorage, Error as StorageError, ErrorKind as StorageErrorKind, Location, Outcome,
    Snapshot, Version,
};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::{
    Error, ErrorKind, Result,
    config::differing,
    events::Event,
    group, keys,
    panics::{Panic, Payload},
    session::{CallOutcome, Purpose, Session, blocking, run_detached},
    settings::Settings,
};

/// The Keeper SDK on a stored configuration.
///
/// Clones share one client. Its calls run one after another, on threads that may block. When a call ends, successfully
/// or not, its changes to the configuration are stored. The configuration changes only when the client is bound or the
/// server's public key is replaced: reading records does not access the storage.
///
/// ```no_run
/// # use ksm_storage_core::ConfigStorage;
/// # use ksm_storage_keeper::KeeperClient;
/// # async fn main_job(storage: ConfigStorage) -> Result<(), ksm_storage_keeper::Error> {
/// let keeper = KeeperClient::open(storage).await?;
/// // Any method of the SDK; the client is borrowed for the call.
/// let password = keeper.call(|sdk| sdk.get_notation("keeper://Database/field/password")).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct KeeperClient {
    inner: Arc<Inner>,
}

struct Inner {
    storage: ConfigStorage,
    settings: Arc<Settings>,
    session: Arc<Mutex<SessionState>>,
}

struct SessionState {
    session: Session,
    /// True while the storage does not contain this client.
    bound_unsaved: bool,
    /// The stored version that this client was last compared with.
    compared: Option<Version>,
}

impl KeeperClient {
    /// A client on a session; `stored` is the result of storing its binding.
    pub(crate) fn new(
        storage: ConfigStorage,
        settings: Arc<Settings>,
        session: Session,
        stored: Result<(), StorageError>,
    ) -> Result<Self> {
        let state = SessionState { session, bound_unsaved: stored.is_err(), compared: None };
        let client =
            Self { inner: Arc::new(Inner { storage, settings, session: Arc::new(Mutex::new(state)) }) };
        match stored {
            Ok(()) => Ok(client),
            Err(error) => Err(Error::not_saved(error, client)),
        }
    }

    /// Runs any call of the SDK, and stores its changes to the configuration, even if it fails or panics.
    ///
    /// Calls on one client run one at a time. A dropped call runs to its end, and its changes are stored. Do not
    /// replace the borrowed client or bind a clone of it: a clone has a configuration of its own. Within the closure,
    /// do not wait for another call on this client, its clones or its blocking handles: that call waits for this one.
    ///
    /// If the storage has since seen another client's credentials, by a refresh or a write, the call switches to them:
    /// see [`reload`](Self::reload). A document that is not a bound client is ignored, with a warning event.
    ///
    /// If the storage is read-only, a new server key ID is not stored: the call succeeds and logs a warning, and
    /// the next start asks Keeper again.
    ///
    /// # Errors
    /// - [`ErrorKind::AccessDenied`], [`ErrorKind::Throttled`], [`ErrorKind::Unreachable`], [`ErrorKind::Sdk`]: the
    ///   call failed. To see the SDK's own error, capture it within the closure; it may quote identifiers.
    /// - [`ErrorKind::Panicked`]: the SDK panicked within the call.
    /// - [`ErrorKind::NotSaved`]: the call succeeded, but its changes to the configuration could not be stored.
    /// - [`ErrorKind::Runtime`].
    ///
    /// # Panics
    /// Resumes a panic of the closure itself, after storing the changes.
    pub async fn call<T, F>(&self, call: F) -> Result<T>
    where
        F: FnOnce(&mut SecretsManager) -> Result<T, KSMRError> + Send + 'static,
        T: Send + 'static,
    {
        self.run_step("running the call", call).await?.unwrap_or_else(|payload| panic::resume_unwind(payload))
    }

    /// Runs a closure of this crate, any panic of which is the SDK's.
    async fn own_call<T, F>(&self, step: &'static str, call: F) -> Result<T>
    where
        F: FnOnce(&mut SecretsManager) -> Result<T, KSMRError> + Send + 'static,
        T: Send + 'static,
    {
        let outcome = self.run_step(step, call).await?;
        outcome.unwrap_or_else(|_| Err(Error::panicked(step, None, self.location())))
    }

    /// Runs a call to its end. The inner error is a panic that cannot be attributed to the SDK.
    async fn run_step<T, F>(&self, step: &'static str, call: F) -> Result<Result<Result<T>, Payload>>
    where
        F: FnOnce(&mut SecretsManager) -> Result<T, KSMRError> + Send + 'static,
        T: Send + 'static,
    {
        let state = self.lock().await;
        let client = self.clone();
        run_detached(&self.location(), async move { client.run(state, step, call).await }).await
    }

    /// The records with these UIDs, or all records that the application may read if `uids` is empty.
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    pub async fn get_secrets(&self, uids: &[&str]) -> Result<Vec<Record>> {
        let uids = uids.iter().map(|&uid| uid.to_owned()).collect();
        self.own_call("reading records", move |sdk| sdk.get_secrets(uids)).await
    }

    /// The value that a notation such as `keeper://Database/field/password` refers to. Errors quote the notation.
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    pub async fn get_notation(&self, notation: &str) -> Result<serde_json::Value> {
        let text = notation.to_owned();
        let value = self.own_call("reading a notation", move |sdk| sdk.get_notation(text)).await;
        value.map_err(|error| error.with_notation(notation))
    }

    /// Stores changes that an earlier call could not store. Otherwise does nothing.
    ///
    /// ```no_run
    /// # use ksm_storage_keeper::{Error, KeeperClient};
    /// # async fn work(keeper: KeeperClient) -> Result<(), Error> {
    /// if let Err(error) = keeper.get_secrets(&[]).await
    ///     && let Some(unsaved) = error.unsaved()
    /// {
    ///     // The storage works again.
    ///     unsaved.save().await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::NotSaved`].
    pub async fn save(&self) -> Result<()> {
        let mut state = self.lock().await;
        self.store(&mut state).await.map_err(|error| Error::not_saved(error, self.clone()))
    }

    /// Reads the storage again, and restarts the SDK on its content.
    ///
    /// For long-running programs whose configuration was replaced: on [`ErrorKind::AccessDenied`], reload, then repeat
    /// the call. Unsaved changes are stored first. Rarely necessary if the storage is [kept
    /// fresh](ConfigStorage::keep_fresh), because each call adopts the credentials that the storage has seen.
    ///
    /// ```no_run
    /// # use ksm_storage_keeper::{Error, ErrorKind, KeeperClient};
    /// # async fn work(keeper: KeeperClient) -> Result<(), Error> {
    /// let records = match keeper.get_secrets(&[]).await {
    ///     Err(error) if error.kind() == ErrorKind::AccessDenied => {
    ///         keeper.reload().await?;
    ///         keeper.get_secrets(&[]).await?
    ///     }
    ///     answer => answer?,
    /// };
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::NotSaved`], [`ErrorKind::Storage`]; [`ErrorKind::Unbound`] or [`ErrorKind::InvalidConfig`] if no
    /// bound client is stored. The client is then unchanged.
    pub async fn reload(&self) -> Result<()> {
        let mut state = self.lock().await;
        self.store(&mut state).await.map_err(|error| Error::not_saved(error, self.clone()))?;
        let storage = &self.inner.storage;
        let snapshot = storage.refresh().await.map_err(|error| Error::storage(error, self.location()))?;
        self.restart(&mut state, &snapshot).await
    }

    /// Starts the SDK on what is stored, if that is a bound client.
    async fn restart(&self, state: &mut SessionState, snapshot: &Snapshot) -> Result<()> {
        if group::is_foreign(snapshot.document()) {
            return Err(Error::foreign(snapshot.document(), self.location()));
        }
        // A document with an invalid key is not bound, but naming the key is the better error.
        if let Some((key, why)) = keys::first_invalid(snapshot.document()) {
            return Err(Error::invalid_key(key, why, self.location()));
        }
        if snapshot.bind_state() != BindState::Bound {
            return Err(Error::new(ErrorKind::Unbound, self.location()));
        }
        let document = snapshot.document().clone();
        let settings = Arc::clone(&self.inner.settings);
        state.session = Session::start(document, settings, Purpose::Work, &self.location()).await?;
        Ok(())
    }

    /// Adopts the credentials that the storage has seen, if they differ from this client's. Performs no I/O.
    async fn follow(&self, state: &mut SessionState) {
        let snapshot = self.inner.storage.snapshot();
        if state.compared.as_ref() == Some(snapshot.version()) {
            return;
        }
        state.compared = Some(snapshot.version().clone());
        // An unsaved client replaces the stored one, not the other way round.
        if state.bound_unsaved || group::is_same_client(&state.session.saved, snapshot.document()) {
            return;
        }
        if let Err(error) = self.restart(state, &snapshot).await {
            Event::Ignored { version: snapshot.version(), error: &error }.log(&self.location());
        }
    }

    /// The state of the stored configuration, as last seen by the storage. A configuration with a malformed key is not
    /// bound.
    pub fn bind_state(&self) -> BindState {
        keys::bind_state(self.inner.storage.snapshot().document())
    }

    /// The location of the configuration.
    pub fn location(&self) -> Location {
        self.inner.storage.location()
    }

    /// The storage on which the client was opened.
    pub fn storage(&self) -> &ConfigStorage {
        &self.inner.storage
    }

    async fn lock(&self) -> OwnedMutexGuard<SessionState> {
        Arc::clone(&self.inner.session).lock_owned().await
    }

    /// Runs a call and stores its changes.
    async fn run<T, F>(
        &self,
        mut state: OwnedMutexGuard<SessionState>,
        step: &'static str,
        call: F,
    ) -> Result<Result<Result<T>, Payload>>
    where
        F: FnOnce(&mut SecretsManager) -> Result<T, KSMRError> + Send + 'static,
        T: Send + 'static,
    {
        let location = self.location();
        self.follow(&mut state).await;
        let run = move || {
            let outcome = state.session.run(call);
            (state, outcome)
        };
        let (mut state, outcome) = blocking(&location, run).await?;
        let stored = self.store(&mut state).await;
        Ok(Ok(match outcome {
            CallOutcome::Returned(value) => match stored {
                Ok(()) => Ok(value),
                Err(error) => Err(Error::not_saved(error, self.clone())),
            },
            CallOutcome::Failed(error) => {
                Err(self.note(Error::sdk(&error, state.session.last_reply(), location), stored))
            }
            CallOutcome::Panicked(Panic::Sdk(place)) => {
                Err(self.note(Error::panicked(step, place, location), stored))
            }
            CallOutcome::Panicked(Panic::Caller(payload)) => {
                self.note(Error::new(ErrorKind::Panicked, location), stored);
                return Ok(Err(payload));
            }
        }))
    }

    /// Adds the outcome of the change to an error that takes precedence.
    fn note(&self, error: Error, stored: Result<(), StorageError>) -> Error {
        let Err(unsaved) = stored else { return error };
        Event::Unsaved { error: &unsaved }.log(&self.location());
        error.with_unsaved(unsaved, self.clone())
    }

    /// Stores the keys of the SDK's configuration that differ from the storage.
    async fn store(&self, state: &mut SessionState) -> Result<(), StorageError> {
        let now = state.session.config(&self.location()).map_err(|_| {
            StorageError::new(StorageErrorKind::Unexpected, "the SDK's configuration cannot be read")
                .with_outcome(Outcome::NotApplied)
        })?;
        let changed = differing(&state.session.saved, &now);
        if state.bound_unsaved {
            group::store_bound(&self.inner.storage, now.clone(), changed).await?;
        } else {
            group::store_changed(&self.inner.storage, now.clone(), changed).await?;
        }
        state.bound_unsaved = false;
        state.session.saved = now;
        Ok(())
    }
}

impl fmt::Debug for KeeperClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeeperClient").field("storage", &self.inner.storage).finish_non_exhaustive()
    }
}
