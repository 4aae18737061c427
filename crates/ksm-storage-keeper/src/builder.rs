use std::{fmt, sync::Arc, time::Duration};

use ksm_storage_core::{ConfigKey, ConfigStorage, ExposeSecret, SecretString};

use crate::{
    Error, ErrorKind, KeeperClient, Result,
    bind::{self, Existing},
    config,
    settings::{Invalid, Settings},
    token::Token,
};

/// Settings for opening a client.
///
/// Setters never fail: opening reports invalid settings.
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

// Implemented here, so that the client does not depend on its builder.
impl KeeperClient {
    /// Returns a builder, to change the default settings.
    pub fn builder() -> KeeperClientBuilder {
        KeeperClientBuilder::default()
    }

    /// Starts on a configuration that is already bound, or that contains all that a bind needs.
    ///
    /// # Errors
    /// Those of [`KeeperClientBuilder::open`].
    pub async fn open(storage: ConfigStorage) -> Result<Self> {
        Self::builder().open(storage).await
    }
}

impl KeeperClientBuilder {
    /// The one-time token to bind with, such as `US:…`. It is used once: passing it again has no effect while the
    /// stored configuration belongs to it. An empty token means none, and trailing line ends are dropped.
    ///
    /// Keeper locks the client to the external IP address from which the token is first used, unless the token was
    /// created without that lock (`--unlock-ip` in Keeper Commander). Bind where the client will run, or use such a
    /// token.
    pub fn token(mut self, token: impl Into<SecretString>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The host of the Keeper region, or its code such as `EU`, for a token that does not contain it. It overrides a
    /// stored host until the client is bound, and has no effect afterwards.
    pub fn hostname(mut self, hostname: impl Into<String>) -> Self {
        self.settings.hostname = Some(hostname.into());
        self
    }

    /// The proxy for requests to Keeper, such as `http://user:password@proxy:3128`.
    pub fn proxy_url(mut self, url: impl Into<SecretString>) -> Self {
        self.settings.proxy_url = Some(url.into());
        self
    }

    /// The public key of an isolated Keeper server (URL-safe base64 of the 65 bytes of its point). It overrides a
    /// stored key, and is stored when the client binds.
    pub fn server_public_key(mut self, key: impl Into<String>) -> Self {
        self.settings.server_public_key = Some(key.into());
        self
    }

    /// The ID of that key.
    pub fn server_public_key_id(mut self, id: impl Into<String>) -> Self {
        self.settings.server_public_key_id = Some(id.into());
        self
    }

    /// Time limit of a single request to Keeper, including its reply. The default is 30 s. Most calls make one request;
    /// file downloads and uploads have the SDK's own limits.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.settings.request_timeout = timeout;
        self
    }

    /// Accepts any certificate of Keeper's server. Requests are still encrypted to Keeper's public key; use this only
    /// in tests.
    pub fn insecure_skip_verify(mut self) -> Self {
        self.settings.insecure_skip_verify = true;
        self
    }

    /// Binds the stored configuration and starts the client. If the configuration is already bound, no request is sent and
    /// nothing is written. A connection for the first request is opened in the background.
    ///
    /// A bind writes twice and sends one request. If it is interrupted, the next call, in this process or another,
    /// resumes it. If the future is dropped while Keeper is being asked, the bind continues until the reply is stored. If
    /// the storage is unavailable at that moment, the write is tried again for 30 s.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidArgument`], [`ErrorKind::InvalidConfig`], [`ErrorKind::InvalidToken`],
    ///   [`ErrorKind::TokenMismatch`], [`ErrorKind::Unbound`]: before anything is sent.
    /// - [`ErrorKind::AccessDenied`], [`ErrorKind::TokenSpent`], [`ErrorKind::Throttled`], [`ErrorKind::Unreachable`],
    ///   [`ErrorKind::Sdk`]: Keeper refused or did not reply.
    /// - [`ErrorKind::Storage`]: the storage failed before Keeper was asked.
    /// - [`ErrorKind::NotSaved`]: Keeper has bound the client, but the binding could not be stored. The error holds the
    ///   client.
    /// - [`ErrorKind::Runtime`], [`ErrorKind::Panicked`].
    pub async fn open(self, storage: ConfigStorage) -> Result<KeeperClient> {
        let (settings, token) = self.parse(&storage)?;
        start(storage, settings, token, Existing::Keep).await
    }

    /// Binds with the token, replacing a configuration that belongs to another one.
    ///
    /// The old binding is lost as soon as the new key pair is stored, before Keeper is asked. Only this order survives
    /// a crash at any point. Keys unknown to the SDK are kept. Called again with the same token, this is
    /// [`open`](Self::open).
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
    /// Those of [`open`](Self::open), and [`ErrorKind::Unbound`] without a token.
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
            return Err(invalid("it names no host").with_hint(
                "put its region in front, as in US:…, or set the host name (`ksm-storage bind --host`); \
                 KSM_HOSTNAME is not enough, because it is not stored",
            ));
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
