//! One SDK client, with the stored state of its configuration.

use std::sync::Arc;

use keeper_secrets_manager_core::{KSMRError, SecretsManager};
use ksm_storage_core::{ConfigDocument, Location};
use tokio::{runtime::Handle, task::spawn_blocking};
use tracing::instrument::WithSubscriber;
use zeroize::Zeroize;

use crate::{
    Error, ErrorKind, Result, config,
    panics::{self, Panic},
    post::{BindCheckpoint, Post, Reply},
    settings::Settings,
    token::Token,
};

pub(crate) struct Session {
    pub(crate) manager: SecretsManager,
    /// The SDK's configuration as it is known to be stored.
    pub(crate) saved: ConfigDocument,
    post: Arc<Post>,
}

/// Result of a call of the SDK.
pub(crate) enum CallOutcome<T> {
    Returned(T),
    Failed(KSMRError),
    Panicked(Panic),
}

/// Purpose of a session.
#[derive(Clone)]
pub(crate) enum Purpose {
    /// To work with a bound configuration.
    Work,
    /// To bind: with this token, or with the key pair in the configuration.
    Bind(Option<Token>),
}

impl Session {
    /// Starts the SDK on `document`, without sending anything.
    pub(crate) async fn start(
        document: ConfigDocument,
        settings: Arc<Settings>,
        purpose: Purpose,
        location: &Location,
    ) -> Result<Self> {
        let start = move || {
            let (token, checkpoint) = match &purpose {
                Purpose::Work => (None, None),
                Purpose::Bind(token) => (token.as_ref(), Some(BindCheckpoint::Ahead)),
            };
            let mut options = settings.options(config::seed(&document)?, token, &document);
            let post = Post::new(settings, checkpoint);
            post.install(&mut options);
            let manager = SecretsManager::new(options)?;
            let saved = config::read(&manager.config)?;
            Ok::<_, KSMRError>(Self { manager, saved, post })
        };
        match blocking(location, move || panics::catch(start)).await? {
            Ok(started) => started.map_err(|error| Error::sdk(&error, None, location.clone())),
            Err(place) => {
                Err(Error::panicked("starting on the stored configuration", place, location.clone()))
            }
        }
    }

    /// Runs a call of the SDK on this thread, which may block.
    pub(crate) fn run<T>(
        &mut self,
        call: impl FnOnce(&mut SecretsManager) -> Result<T, KSMRError>,
    ) -> CallOutcome<T> {
        self.post.begin();
        match panics::catch_foreign(|| call(&mut self.manager)) {
            Ok(Ok(value)) => CallOutcome::Returned(value),
            Ok(Err(error)) => CallOutcome::Failed(error),
            Err(panic) => CallOutcome::Panicked(panic),
        }
    }

    /// The SDK's current configuration.
    pub(crate) fn config(&self, location: &Location) -> Result<ConfigDocument> {
        config::read(&self.manager.config).map_err(|error| Error::sdk(&error, None, location.clone()))
    }

    /// The progress of a bind.
    pub(crate) fn checkpoint(&self) -> Option<BindCheckpoint> {
        self.post.checkpoint()
    }

    /// Keeper's last reply to the last call.
    pub(crate) fn last_reply(&self) -> Option<Reply> {
        self.post.last()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.manager.token.zeroize();
    }
}

/// Runs the future as a separate task, which continues if the caller is dropped.
pub(crate) async fn run_detached<T: Send + 'static>(
    location: &Location,
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let ended = || Error::new(ErrorKind::Runtime, location.clone());
    let runtime = Handle::try_current().map_err(|_| ended())?;
    runtime.spawn(future.with_current_subscriber()).await.unwrap_or_else(|_| Err(ended()))
}

/// Runs code that may block. The SDK's HTTP client cannot even be created where blocking is not allowed.
pub(crate) async fn blocking<T: Send + 'static>(
    location: &Location,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let ended = || Error::new(ErrorKind::Runtime, location.clone());
    if Handle::try_current().is_err() {
        return Err(ended());
    }
    spawn_blocking(run).await.map_err(|_| ended())
}
