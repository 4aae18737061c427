use std::{fmt, sync::Arc};

use ksm_storage_core::{ConfigKey, ConfigStorage, ExposeSecret, SecretString};

use crate::{
    Error, ErrorKind, KeeperClient, Result,
    bind::{self, Existing},
    settings::Settings,
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
    /// again does nothing. An empty one counts as none.
    pub fn token(mut self, token: impl Into<SecretString>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The host of the Keeper region, for a token that does not name it. Once bound, the stored one counts.
    pub fn hostname(mut self, hostname: impl Into<String>) -> Self {
        self.settings.hostname = Some(hostname.into());
        self
    }

    /// The proxy for requests to Keeper, such as `http://user:password@proxy:3128`.
    pub fn proxy_url(mut self, url: impl Into<SecretString>) -> Self {
        self.settings.proxy_url = Some(url.into());
        self
    }

    /// The public key of an isolated Keeper server (URL-safe base64 of the 65 bytes of its point). It is stored when
    /// the client binds.
    pub fn server_public_key(mut self, key: impl Into<String>) -> Self {
        self.settings.server_public_key = Some(key.into());
        self
    }

    /// The number of that key.
    pub fn server_public_key_id(mut self, id: impl Into<String>) -> Self {
        self.settings.server_public_key_id = Some(id.into());
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
    /// - [`ErrorKind::InvalidToken`], [`ErrorKind::TokenMismatch`], [`ErrorKind::Unbound`]: before anything is sent.
    /// - [`ErrorKind::TokenSpent`], [`ErrorKind::Throttled`], [`ErrorKind::Unreachable`], [`ErrorKind::Sdk`]: what Keeper
    ///   said, or did not say.
    /// - [`ErrorKind::Storage`]: the storage failed before Keeper was asked.
    /// - [`ErrorKind::NotSaved`]: Keeper has bound the client, but that could not be stored. The error holds the client.
    /// - [`ErrorKind::Runtime`], [`ErrorKind::Panicked`].
    pub async fn open(self, storage: ConfigStorage) -> Result<KeeperClient> {
        let token = self.parse(&storage)?;
        start(storage, self.settings, token, Existing::Keep).await
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
        let Some(token) = self.parse(&storage)? else {
            return Err(Error::new(ErrorKind::Unbound, storage.location()));
        };
        start(storage, self.settings, Some(token), Existing::Replace).await
    }

    fn parse(&self, storage: &ConfigStorage) -> Result<Option<Token>> {
        let Some(given) = self.token.as_ref().filter(|token| !token.expose_secret().trim().is_empty()) else {
            return Ok(None);
        };
        let invalid = |why| Error::invalid_token(storage.location(), why);
        let token = Token::parse(given).map_err(invalid)?;
        if !token.names_host() && self.settings.hostname.is_none() && !storage.contains(ConfigKey::Hostname) {
            return Err(invalid("it names no host; put its region in front, or give the builder a hostname"));
        }
        Ok(Some(token))
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
