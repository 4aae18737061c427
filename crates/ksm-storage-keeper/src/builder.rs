use std::{fmt, sync::Arc, time::Duration};

use ksm_storage_core::{ConfigKey, ConfigStorage, ExposeSecret, SecretString};

use crate::{
    Error, ErrorKind, KeeperClient, Result,
    bind::{self, Existing},
    config,
    settings::{Invalid, Settings},
    token::Token,
};

/// Settings of a client that is about to be opened.
///
/// Setters never fail; opening does.
///
/// ```
/// use ksm_storage_core::ConfigStorage;
/// use ksm_storage_keeper::{ErrorKind, KeeperClient};
/// # use ksm_storage_memory::MemoryBackend;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), ksm_storage_core::Error> {
/// # let backend = MemoryBackend::from_config("{}");
/// let storage = ConfigStorage::open(backend).await?;
/// let refused = KeeperClient::builder().token("US:cut-off").open(storage).await.unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::InvalidToken);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until it is opened"]
pub struct KeeperClientBuilder {
    token: Option<SecretString>,
    settings: Settings,
}

// Beside the builder, so that the client need not know it.
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
}

impl KeeperClientBuilder {
    /// The one-time token to bind with, such as `US:…`. It is used once; while what is stored belongs to it, giving it
    /// again does nothing. An empty one counts as none, and line ends after it are dropped.
    ///
    /// Keeper locks the client to the external IP address from which the token is first used, unless the token was made
    /// without that lock (`--unlock-ip` in Keeper Commander). Bind from where the client is going to run, or
    /// use such a token.
    pub fn token(mut self, token: impl Into<SecretString>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The host of the Keeper region, or the region's code such as `EU`, for a token that does not name it. Until the
    /// client is bound it takes the place of a stored one; once bound, the stored one counts.
    pub fn hostname(mut self, hostname: impl Into<String>) -> Self {
        self.settings.hostname = Some(hostname.into());
        self
    }

    /// The proxy for requests to Keeper, such as `http://user:password@proxy:3128`.
    pub fn proxy_url(mut self, url: impl Into<SecretString>) -> Self {
        self.settings.proxy_url = Some(url.into());
        self
    }

    /// The public key of an isolated Keeper server (URL-safe base64 of the 65 bytes of its point). It takes the place of
    /// a stored one, and is stored when the client binds.
    pub fn server_public_key(mut self, key: impl Into<String>) -> Self {
        self.settings.server_public_key = Some(key.into());
        self
    }

    /// The number of that key.
    pub fn server_public_key_id(mut self, id: impl Into<String>) -> Self {
        self.settings.server_public_key_id = Some(id.into());
        self
    }

    /// The longest time that one request to Keeper may take, with its reply: 30 s by default. A call mostly makes one;
    /// downloads and uploads of files have the SDK's own limits.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.settings.request_timeout = timeout;
        self
    }

    /// Accepts any certificate of Keeper's server. Requests are encrypted to its public key all the same; but use this
    /// for tests alone.
    pub fn insecure_skip_verify(mut self) -> Self {
        self.settings.insecure_skip_verify = true;
        self
    }

    /// Binds what is stored, if it is not bound yet, else just starts: nothing is sent then, and nothing written.
    ///
    /// A bind writes twice and sends one request. What it began is gone on with by the next call, in this process or
    /// another. Dropped while Keeper is asked, it runs on until the answer is stored.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidArgument`], [`ErrorKind::InvalidConfig`], [`ErrorKind::InvalidToken`],
    ///   [`ErrorKind::TokenMismatch`], [`ErrorKind::Unbound`]: before anything is sent.
    /// - [`ErrorKind::AccessDenied`], [`ErrorKind::TokenSpent`], [`ErrorKind::Throttled`], [`ErrorKind::Unreachable`], [`ErrorKind::Sdk`]: what Keeper
    ///   said, or did not say.
    /// - [`ErrorKind::Storage`]: the storage failed before Keeper was asked.
    /// - [`ErrorKind::NotSaved`]: Keeper has bound the client, but that could not be stored. The error holds the client.
    /// - [`ErrorKind::Runtime`], [`ErrorKind::Panicked`].
    pub async fn open(self, storage: ConfigStorage) -> Result<KeeperClient> {
        let (settings, token) = self.parse(&storage)?;
        start(storage, settings, token, Existing::Keep).await
    }

    /// Binds with the token in place of what is stored for another one.
    ///
    /// The old binding is lost as soon as the new key pair is stored, before Keeper is asked: only then a crash loses
    /// nothing. Keys unknown to the SDK stay. Called again with the same token, it is [`open`](Self::open).
    ///
    /// ```no_run
    /// # use ksm_storage_keeper::{Error, KeeperClient};
    /// # async fn rotate(storage: ksm_storage_core::ConfigStorage, token: String) -> Result<(), Error> {
    /// let keeper = KeeperClient::builder().token(token).rebind(storage).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`open`](Self::open); [`ErrorKind::Unbound`] without a token.
    pub async fn rebind(self, storage: ConfigStorage) -> Result<KeeperClient> {
        let (settings, token) = self.parse(&storage)?;
        if token.is_none() {
            return Err(Error::new(ErrorKind::Unbound, storage.location()));
        }
        start(storage, settings, token, Existing::Replace).await
    }

    fn parse(self, storage: &ConfigStorage) -> Result<(Settings, Option<Token>)> {
        let settings = self.settings.parse(Settings::environment);
        let settings = settings
            .map_err(|Invalid(setting, why)| Error::invalid_argument(setting, why, storage.location()))?;
        let Some(given) = self.token.filter(|token| !token.expose_secret().trim().is_empty()) else {
            return Ok((settings, None));
        };
        let invalid = |why| Error::invalid_token(storage.location(), why);
        let token = Token::parse(&given).map_err(invalid)?;
        let names_host = token.host().is_some() || settings.hostname.is_some();
        if !names_host && config::text(storage.snapshot().document(), ConfigKey::Hostname).is_none() {
            return Err(invalid("it names no host; put its region in front, or set the hostname"));
        }
        Ok((settings, Some(token)))
    }
}

async fn start(
    storage: ConfigStorage,
    settings: Settings,
    token: Option<Token>,
    existing: Existing,
) -> Result<KeeperClient> {
    let settings = Arc::new(settings);
    let opened = bind::open(&storage, &settings, token, existing).await?;
    KeeperClient::new(storage, settings, opened.session, opened.stored)
}

impl fmt::Debug for KeeperClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeeperClientBuilder")
            .field("token", &self.token.is_some())
            .field("hostname", &self.settings.hostname)
            .field("proxy", &self.settings.proxy_url.is_some())
            .field("server_public_key_id", &self.settings.server_public_key_id)
            .field("insecure_skip_verify", &self.settings.insecure_skip_verify)
            .finish_non_exhaustive()
    }
}
