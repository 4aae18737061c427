//! One SDK client, with the stored state of its configuration.

use std::sync::Arc;

use keeper_secrets_manager_core::{KSMRError, SecretsManager};
use ksm_storage_core::{ConfigDocument, Location};
use tokio::runtime::Handle;
use tracing::instrument::WithSubscriber;
use zeroize::Zeroize;

use crate::{
    Error, ErrorKind, Result, config,
    http::HttpClient,
    panics::{self, Panic},
    peer,
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
    /// Starts the SDK on `document`, without sending anything. Begins before it is polled.
    pub(crate) fn start(
        document: ConfigDocument,
        settings: Arc<Settings>,
        purpose: Purpose,
        location: &Location,
    ) -> impl Future<Output = Result<Self>> + use<> {
        let location = location.clone();
        if let Some(host) = Settings::host(&document, Settings::environment) {
            let settings = Arc::clone(&settings);
            drop(blocking(&location, move || panics::catch(|| HttpClient::connect_ahead(&settings, host))));
        }
        let start = move || {
            let (token, checkpoint) = match &purpose {
                Purpose::Work => (None, None),
                Purpose::Bind(token) => (token.as_ref(), Some(BindCheckpoint::Ahead)),
            };
            if checkpoint.is_some() {
                // A bind writes before it sends: without a client, it would write in vain.
                HttpClient::of(&settings)
                    .map_err(|_| KSMRError::SecretManagerCreationError("no HTTP client".to_owned()))?;
            }
            let mut options = settings.options(config::seed(&document)?, token, &document);
            let origin = peer::setting(&settings, Settings::environment, &purpose, &document);
            let post = Post::new(settings, origin, checkpoint);
            post.install(&mut options);
            let manager = SecretsManager::new(options)?;
            let saved = config::read(&manager.config)?;
            Ok::<_, KSMRError>(Self { manager, saved, post })
        };
        let started = blocking(&location, move || panics::catch(start));
        async move {
            match started.await? {
                Ok(started) => started.map_err(|error| Error::sdk(&error, None, location)),
                Err(place) => Err(Error::panicked("starting on the stored configuration", place, location)),
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

/// Runs code that may block, from now on. The SDK's HTTP client cannot even be created where blocking is not allowed.
pub(crate) fn blocking<T, F>(location: &Location, run: F) -> impl Future<Output = Result<T>> + use<T, F>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let running = Handle::try_current().map(|runtime| runtime.spawn_blocking(run));
    let ended = Error::new(ErrorKind::Runtime, location.clone());
    async move {
        match running {
            Ok(running) => running.await.map_err(|_| ended),
            Err(_) => Err(ended),
        }
    }
}
