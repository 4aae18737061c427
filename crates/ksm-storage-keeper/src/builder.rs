use std::{fmt, sync::Arc};

use keeper_secrets_manager_core::{ClientOptions, KSMCache, KvStoreType};
use ksm_storage_core::{ConfigDocument, ConfigKey, ConfigStorage, ExposeSecret, SecretString};
use log::Level;

use crate::{Error, ErrorKind, KeeperClient, Result, bind, config, token::Token};

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

#[derive(Clone, Default)]
pub(crate) struct Settings {
    hostname: Option<String>,
    proxy_url: Option<SecretString>,
    server_public_key: Option<String>,
    server_public_key_id: Option<String>,
    insecure_skip_verify: bool,
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
        bind::open(storage, Arc::new(self.settings), token, bind::Stored::Keep).await
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
        bind::open(storage, Arc::new(self.settings), Some(token), bind::Stored::Replace).await
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

impl Settings {
    /// The SDK's options for a start on `config`, which is `document`.
    pub(crate) fn options(
        &self,
        config: KvStoreType,
        token: Option<&Token>,
        document: &ConfigDocument,
    ) -> ClientOptions {
        let hostname = || {
            self.hostname.clone().or_else(|| config::text(document, ConfigKey::Hostname).map(str::to_owned))
        };
        let mut options = ClientOptions::new(
            token.map(Token::text).unwrap_or_default(),
            config,
            Level::Error,
            token.filter(|token| !token.names_host()).and_then(|_| hostname()),
            Some(self.insecure_skip_verify),
            self.proxy_url.as_ref().map(|url| url.expose_secret().to_owned()),
            KSMCache::None,
        );
        if let Some(key) = &self.server_public_key {
            options.set_server_public_key(key);
        }
        if let Some(id) = &self.server_public_key_id {
            options.set_server_public_key_id(id);
        }
        options
    }
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
