use std::{fmt, sync::Arc};

use keeper_secrets_manager_core::{KSMRError, Record, SecretsManager};
use ksm_storage_core::{
    BindState, ConfigDocument, ConfigKey, ConfigStorage, Error as StorageError,
    ErrorKind as StorageErrorKind, Location, Outcome,
};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tracing::warn;

use crate::{
    Error, ErrorKind, KeeperClientBuilder, Result,
    builder::Settings,
    config::{copy, differing, text},
    session::{Ended, Purpose, Session, blocking, to_the_end},
};

/// The Keeper SDK on a stored configuration.
///
/// Clones are the same client; its calls run one after another, on threads that may block. What a call changes in the
/// configuration is stored when it ends, whichever way it does. Only a bind and a change of the server's public key
/// ever change it: reading records costs no access to the storage.
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
    session: Arc<Mutex<Held>>,
}

struct Held {
    session: Session,
    /// The storage does not hold this client yet.
    bound_unsaved: bool,
}

impl KeeperClient {
    /// A client with other settings than none.
    pub fn builder() -> KeeperClientBuilder {
        KeeperClientBuilder::default()
    }

    /// Starts on a configuration that is bound already, or has all that it takes to be.
    ///
    /// # Errors
    /// Those of [`KeeperClientBuilder::open`].
    pub async fn open(storage: ConfigStorage) -> Result<Self> {
        Self::builder().open(storage).await
    }

    pub(crate) fn new(storage: ConfigStorage, settings: Arc<Settings>, session: Session) -> Self {
        let session = Arc::new(Mutex::new(Held { session, bound_unsaved: false }));
        Self { inner: Arc::new(Inner { storage, settings, session }) }
    }

    /// Runs any call of the SDK, and stores what it changed in the configuration, on success, error and panic alike.
    ///
    /// Calls on one client wait for each other. A call that is dropped runs on to its end, and its changes are stored.
    /// Do not replace the borrowed client, nor bind a clone of it: a clone's configuration is its own. Within the closure
    /// do not wait for another call on this client, its clones and blocking handles included: that one waits for this.
    ///
    /// Where the storage is read-only, a new number of the server's public key is not stored: the call succeeds with a
    /// warning event, and the next start asks Keeper once more.
    ///
    /// # Errors
    /// - [`ErrorKind::AccessDenied`], [`ErrorKind::Throttled`], [`ErrorKind::Unreachable`], [`ErrorKind::Sdk`]: the call
    ///   failed. To see the SDK's own error, take it out within the closure; it may quote identifiers.
    /// - [`ErrorKind::Panicked`]: the call panicked.
    /// - [`ErrorKind::NotSaved`]: the call succeeded, but what it changed in the configuration could not be stored.
    /// - [`ErrorKind::Runtime`].
    pub async fn call<T, F>(&self, call: F) -> Result<T>
    where
        F: FnOnce(&mut SecretsManager) -> Result<T, KSMRError> + Send + 'static,
        T: Send + 'static,
    {
        let held = self.hold().await;
        let client = self.clone();
        to_the_end(&self.location(), async move { client.run(held, call).await }).await
    }

    /// The records with these identifiers; all that the application may read, if there are none.
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    pub async fn get_secrets(&self, uids: &[&str]) -> Result<Vec<Record>> {
        let uids = uids.iter().map(|&uid| uid.to_owned()).collect();
        self.call(move |sdk| sdk.get_secrets(uids)).await
    }

    /// Stores what an earlier call could not. Without such a change it does nothing.
    ///
    /// ```no_run
    /// # use ksm_storage_keeper::{Error, KeeperClient};
    /// # async fn work(keeper: KeeperClient) -> Result<(), Error> {
    /// if let Err(error) = keeper.get_secrets(&[]).await
    ///     && let Some(unsaved) = error.unsaved()
    /// {
    ///     // The storage has been mended meanwhile.
    ///     unsaved.save().await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::NotSaved`].
    pub async fn save(&self) -> Result<()> {
        let mut held = self.hold().await;
        self.store(&mut held).await.map_err(|error| Error::not_saved(error, self.clone()))
    }

    /// Reads the storage again, and starts the SDK on what is there.
    ///
    /// For a long-running program whose configuration was replaced: on [`ErrorKind::AccessDenied`] reload, then call
    /// again. A change that is not stored yet is stored first.
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
    /// [`ErrorKind::NotSaved`], [`ErrorKind::Storage`]; [`ErrorKind::Unbound`] if what is stored is not bound. The client
    /// stays as it is then.
    pub async fn reload(&self) -> Result<()> {
        let mut held = self.hold().await;
        self.store(&mut held).await.map_err(|error| Error::not_saved(error, self.clone()))?;
        let storage = &self.inner.storage;
        let snapshot = storage.refresh().await.map_err(|error| Error::storage(error, self.location()))?;
        if snapshot.bind_state() != BindState::Bound {
            return Err(Error::new(ErrorKind::Unbound, self.location()));
        }
        let document = snapshot.document().clone();
        let settings = Arc::clone(&self.inner.settings);
        held.session = Session::start(document, settings, Purpose::Work, &self.location()).await?;
        Ok(())
    }

    /// How far the stored configuration has got, as far as the storage knows.
    pub fn bind_state(&self) -> BindState {
        self.inner.storage.bind_state()
    }

    /// Where the configuration lives.
    pub fn location(&self) -> Location {
        self.inner.storage.location()
    }

    /// The storage that the client works on.
    pub fn storage(&self) -> &ConfigStorage {
        &self.inner.storage
    }

    async fn hold(&self) -> OwnedMutexGuard<Held> {
        Arc::clone(&self.inner.session).lock_owned().await
    }

    async fn run<T, F>(&self, mut held: OwnedMutexGuard<Held>, call: F) -> Result<T>
    where
        F: FnOnce(&mut SecretsManager) -> Result<T, KSMRError> + Send + 'static,
        T: Send + 'static,
    {
        let location = self.location();
        let run = move || {
            let ended = held.session.run(call);
            (held, ended)
        };
        let (mut held, ended) = blocking(&location, run).await?;
        let stored = self.store(&mut held).await;
        match ended {
            Ended::Returned(value) => match stored {
                Ok(()) => Ok(value),
                Err(error) => Err(Error::not_saved(error, self.clone())),
            },
            Ended::Failed(error) => {
                Err(self.note(Error::sdk(&error, held.session.last_reply(), location), stored))
            }
            Ended::Panicked => Err(self.note(Error::new(ErrorKind::Panicked, location), stored)),
        }
    }

    /// Adds to an error that matters more what has become of the change.
    fn note(&self, error: Error, stored: Result<(), StorageError>) -> Error {
        let Err(unsaved) = stored else { return error };
        let location = self.location();
        warn!(%location, error = %unsaved, "a change of the client's configuration is not stored yet; the next call tries again");
        error.with_unsaved(unsaved, self.clone())
    }

    /// Takes note of how the write ended that completes this client's bind.
    pub(crate) async fn bound(&self, stored: Result<(), StorageError>) -> Result<(), StorageError> {
        let stored = stored.or_else(|error| self.forgive(error, true));
        self.hold().await.bound_unsaved = stored.is_err();
        stored
    }

    /// Stores what the SDK's configuration has and the storage has not.
    async fn store(&self, held: &mut Held) -> Result<(), StorageError> {
        let now = held.session.config(&self.location()).map_err(|_| {
            StorageError::new(StorageErrorKind::Unexpected, "the SDK's configuration cannot be read")
                .with_outcome(Outcome::NotApplied)
        })?;
        let changed = differing(&held.session.saved, &now);
        let stored = if held.bound_unsaved {
            store_group(&self.inner.storage, now.clone(), changed).await
        } else if changed.is_empty() {
            Ok(())
        } else {
            let wanted = now.clone();
            let stored = self.inner.storage.update(move |stored| {
                copy(stored, &wanted, &changed);
                Ok::<_, StorageError>(())
            });
            stored.await
        };
        stored.or_else(|error| self.forgive(error, held.bound_unsaved))?;
        held.bound_unsaved = false;
        held.session.saved = now;
        Ok(())
    }

    /// What is no reason to fail a call that has succeeded: the change is stored, or it is no bind, and a place where
    /// nothing is written does without it.
    fn forgive(&self, error: StorageError, is_bind: bool) -> Result<(), StorageError> {
        let by_nature = matches!(error.kind(), StorageErrorKind::ReadOnly | StorageErrorKind::Unsupported);
        if error.outcome() != Outcome::Applied && (is_bind || !by_nature) {
            return Err(error);
        }
        warn!(location = %self.location(), %error, "a change of the client's configuration");
        Ok(())
    }
}

/// Replaces the whole group, unless what is stored belongs to another client; where it is this one's already, only what
/// has `changed` since.
pub(crate) async fn store_group(
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
    stored.await
}

impl fmt::Debug for KeeperClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeeperClient").field("storage", &self.inner.storage).finish_non_exhaustive()
    }
}
