use keeper_secrets_manager_core::{ClientOptions, KSMCache, KvStoreType};
use ksm_storage_core::{ConfigDocument, ConfigKey, ExposeSecret, SecretString};
use log::Level;

use crate::{config, token::Token};

/// Settings that a caller gives to every SDK client of a [`KeeperClient`](crate::KeeperClient).
#[derive(Clone, Default)]
pub(crate) struct Settings {
    pub(crate) hostname: Option<String>,
    pub(crate) proxy_url: Option<SecretString>,
    pub(crate) server_public_key: Option<String>,
    pub(crate) server_public_key_id: Option<String>,
    pub(crate) insecure_skip_verify: bool,
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
