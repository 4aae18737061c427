use std::{
    env,
    ffi::OsString,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use keeper_secrets_manager_core::{ClientOptions, KSMCache, KvStoreType};
use ksm_storage_core::{ConfigDocument, ConfigKey, ExposeSecret, SecretString};
use log::Level;

use crate::{
    config, group, host,
    http::{self, HttpClient},
    keys,
    token::Token,
};

/// Default time limit of a single request to Keeper.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Longer limits count as none; this one overflows no clock.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// Settings that a caller gives to every SDK client of a [`KeeperClient`](crate::KeeperClient).
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) hostname: Option<String>,
    pub(crate) proxy_url: Option<SecretString>,
    pub(crate) server_public_key: Option<String>,
    pub(crate) server_public_key_id: Option<String>,
    pub(crate) insecure_skip_verify: bool,
    pub(crate) request_timeout: Duration,
    /// Created once, and shared by all sessions.
    pub(crate) http: Arc<Mutex<Option<HttpClient>>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hostname: None,
            proxy_url: None,
            server_public_key: None,
            server_public_key_id: None,
            insecure_skip_verify: false,
            request_timeout: REQUEST_TIMEOUT,
            http: Arc::default(),
        }
    }
}

/// An invalid setting: its name and the reason.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invalid(pub(crate) &'static str, pub(crate) &'static str);

impl Settings {
    /// Parses the settings of the caller and the environment. An empty value means unset.
    pub(crate) fn parse(mut self, environment: impl Fn(&str) -> Option<OsString>) -> Result<Self, Invalid> {
        // A clone of the builder may have other settings.
        self.http = Arc::default();
        let given = |value: Option<String>| {
            value
                .map(|value| value.trim_end_matches(['\r', '\n']).to_owned())
                .filter(|value| !value.is_empty())
        };
        self.hostname = given(self.hostname)
            .map(|host| host::parse(&host))
            .transpose()
            .map_err(|why| Invalid("hostname", why))?;
        self.server_public_key = given(self.server_public_key);
        if let Some(key) = &self.server_public_key {
            keys::check_server_key(key).map_err(|why| Invalid("server_public_key", why))?;
        }
        self.server_public_key_id = given(self.server_public_key_id);
        if let Some(id) = &self.server_public_key_id {
            keys::check_server_key_id(id).map_err(|why| Invalid("server_public_key_id", why))?;
        }
        self.proxy_url = self.proxy_url.filter(|url| !url.expose_secret().is_empty());
        if let Some(url) = &self.proxy_url {
            http::check_proxy(url.expose_secret()).map_err(|why| Invalid("proxy_url", why))?;
        }
        if self.request_timeout.is_zero() {
            return Err(Invalid("request_timeout", "it is zero"));
        }
        self.request_timeout = self.request_timeout.min(LONGEST);
        self.parse_environment(environment)?;
        Ok(self)
    }

    /// Parses the variables that the SDK and its HTTP client read by themselves.
    fn parse_environment(&mut self, environment: impl Fn(&str) -> Option<OsString>) -> Result<(), Invalid> {
        let variable = |name| match environment(name) {
            Some(value) if !value.is_empty() => {
                value.into_string().map(Some).map_err(|_| Invalid(name, "it is not UTF-8"))
            }
            _ => Ok(None),
        };
        if let Some(host) = variable("KSM_HOSTNAME")? {
            host::parse(&host).map_err(|why| Invalid("KSM_HOSTNAME", why))?;
        }
        match (environment("KSM_SKIP_VERIFY"), variable("KSM_SKIP_VERIFY")?.as_deref()) {
            (None, _) => {}
            // The SDK honours this variable in any case; its client for files does too.
            (_, Some("true")) => self.insecure_skip_verify = true,
            (_, Some("false")) => self.insecure_skip_verify = false,
            _ => return Err(Invalid("KSM_SKIP_VERIFY", "expected true or false, or no such variable")),
        }
        if self.proxy_url.is_none() {
            for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
                if let Some(url) = variable(name)? {
                    http::check_system_proxy(&url).map_err(|why| Invalid(name, why))?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn http(&self) -> MutexGuard<'_, Option<HttpClient>> {
        self.http.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host to which the SDK will send its requests; `None` if that is left to the SDK.
    pub(crate) fn host(
        config: &ConfigDocument,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Option<String> {
        let variable = environment("KSM_HOSTNAME").filter(|host| !host.is_empty());
        let host = match &variable {
            Some(host) => host.to_str(),
            None => config::text(config, ConfigKey::Hostname),
        };
        host::parse(host?).ok()
    }

    /// The environment of the process.
    pub(crate) fn environment(name: &str) -> Option<OsString> {
        env::var_os(name)
    }

    /// Applies the caller's settings to the document of a client that is not bound yet.
    pub(crate) fn apply(&self, document: &mut ConfigDocument, token: Option<&Token>) {
        let token_host = token.and_then(Token::host);
        if let Some(host) = token_host.or(self.hostname.as_deref()) {
            if token_host.is_some() && config::text(document, ConfigKey::Hostname) != Some(host) {
                // Another host has another server key.
                group::remove_server_key(document);
            }
            document.set(ConfigKey::Hostname, host);
        }
        let token_key = token.and_then(Token::server_key);
        let keys = [
            (ConfigKey::ServerPublicKey, &self.server_public_key, token_key.map(|server| &server.key)),
            (ConfigKey::ServerPublicKeyId, &self.server_public_key_id, token_key.map(|server| &server.id)),
        ];
        for (key, ours, tokens) in keys {
            if let Some(value) = tokens.or(ours.as_ref()) {
                document.set(key, value.as_str());
            }
        }
    }

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
            token.filter(|token| token.host().is_none()).and_then(|_| hostname()),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(settings: Settings, variables: &[(&str, &str)]) -> Result<Settings, Invalid> {
        settings.parse(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    fn with(set: impl FnOnce(&mut Settings)) -> Settings {
        let mut settings = Settings::default();
        set(&mut settings);
        settings
    }

    type Set = fn(&mut Settings, &str);

    #[test]
    fn empty_settings_count_as_unset() {
        let settings = with(|settings| {
            settings.hostname = Some("\r\n".into());
            settings.proxy_url = Some("".into());
            settings.server_public_key = Some(String::new());
            settings.server_public_key_id = Some(String::new());
        });
        let settings = parse(settings, &[("KSM_HOSTNAME", ""), ("HTTPS_PROXY", "")]).unwrap();
        assert!(settings.hostname.is_none() && settings.proxy_url.is_none());
        assert!(settings.server_public_key.is_none() && settings.server_public_key_id.is_none());
    }

    #[test]
    fn invalid_settings_are_named() {
        let long = "x".repeat(1 << 20);
        let values = [" ", "a b", "x\r", "\n", "x\0y", "'x'", "ü", "s3cret@", "-", &long];
        let setters: [(&str, Set); 4] = [
            ("hostname", |settings, value| settings.hostname = Some(value.into())),
            ("proxy_url", |settings, value| settings.proxy_url = Some(value.into())),
            ("server_public_key", |settings, value| settings.server_public_key = Some(value.into())),
            ("server_public_key_id", |settings, value| settings.server_public_key_id = Some(value.into())),
        ];
        for (name, set) in setters {
            for value in values {
                match parse(with(|settings| set(settings, value)), &[]) {
                    Err(Invalid(setting, why)) => {
                        assert!(setting == name && !why.contains(['\n', '\r']), "{name}: {why}");
                    }
                    // A line end is dropped entirely, and `x` or `-` may be an ID.
                    Ok(_) => assert!(
                        (value == "\n" && name != "proxy_url") || name == "server_public_key_id",
                        "{name}={value:.9}"
                    ),
                }
            }
        }
        let zero = with(|settings| settings.request_timeout = Duration::ZERO);
        assert_eq!(parse(zero, &[]).err(), Some(Invalid("request_timeout", "it is zero")));
    }

    #[test]
    fn invalid_variables_are_named() {
        for (name, value) in [
            ("KSM_HOSTNAME", "keeper security.com"),
            ("KSM_HOSTNAME", "keepersecurity.com "),
            ("KSM_SKIP_VERIFY", ""),
            ("KSM_SKIP_VERIFY", "yes"),
            ("KSM_SKIP_VERIFY", "true\r"),
            ("HTTPS_PROXY", "not a proxy"),
            ("https_proxy", "http://proxy:3128\r"),
            ("https_proxy", "http://"),
            ("HTTPS_PROXY", "socks5://proxy:1080"),
            ("ALL_PROXY", "http://proxy:99999"),
            ("all_proxy", "ftp://proxy"),
        ] {
            assert_eq!(
                parse(Settings::default(), &[(name, value)]).err().map(|invalid| invalid.0),
                Some(name)
            );
        }
        for (name, value) in [
            ("KSM_HOSTNAME", "EU"),
            ("KSM_SKIP_VERIFY", "false"),
            ("HTTPS_PROXY", "proxy:3128"),
            ("https_proxy", "http://user:p%40ss@proxy.example:3128/"),
            ("ALL_PROXY", "https://[::1]:3128"),
        ] {
            assert!(parse(Settings::default(), &[(name, value)]).is_ok(), "{name}={value}");
        }
    }

    #[test]
    fn caller_outranks_what_is_stored() {
        let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
        let point = "BK9w6TZFxE6nFNbMfIpULCup2a8xc6w2tUTABjxny7yFmxW0dAEojwC6j6zb5nTlmb1dAx8nwo3qF7RPYGmloRM";
        let il5 = format!("IL5:{key}:901:{point}");
        let (eu, bare) = (format!("EU:{key}"), key.to_owned());
        let ours = || {
            with(|settings| {
                settings.hostname = Some("ours.example".into());
                settings.server_public_key_id = Some("7".into());
            })
        };
        let no_key = [None, None];
        for (settings, token, host, keys) in [
            (Settings::default(), None, "stored.example", [Some("stored"), Some("1")]),
            (Settings::default(), Some(&bare), "stored.example", [Some("stored"), Some("1")]),
            // The stored key belongs to another host.
            (Settings::default(), Some(&eu), "keepersecurity.eu", no_key),
            (Settings::default(), Some(&il5), "il5.keepersecurity.us", [Some(point), Some("901")]),
            (ours(), None, "ours.example", [Some("stored"), Some("7")]),
            (ours(), Some(&bare), "ours.example", [Some("stored"), Some("7")]),
            (ours(), Some(&eu), "keepersecurity.eu", [None, Some("7")]),
            (ours(), Some(&il5), "il5.keepersecurity.us", [Some(point), Some("901")]),
        ] {
            let stored = br#"{"hostname":"stored.example","serverPublicKey":"stored","serverPublicKeyId":1}"#;
            let mut document = ConfigDocument::parse(stored).unwrap();
            let token = token.map(|token| Token::parse(&token.as_str().into()).unwrap());
            settings.apply(&mut document, token.as_ref());
            let text = |key| config::text(&document, key);
            assert_eq!(text(ConfigKey::Hostname), Some(host));
            let found = [ConfigKey::ServerPublicKey, ConfigKey::ServerPublicKeyId].map(text);
            assert_eq!(found, keys, "{host}");
        }
    }

    #[test]
    fn variable_outranks_the_stored_host() {
        for (stored, variable, expected) in [
            ("stored.example", None, Some("stored.example")),
            ("stored.example", Some(""), Some("stored.example")),
            ("stored.example", Some("EU"), Some("keepersecurity.eu")),
            ("stored.example", Some("https://other.example"), Some("other.example")),
            ("127.0.0.1:8443/http", None, Some("127.0.0.1:8443/http")),
            // The SDK decides.
            ("stored.example", Some("two words"), None),
            ("", None, None),
        ] {
            let mut document = ConfigDocument::new();
            document.set(ConfigKey::Hostname, stored);
            let host = Settings::host(&document, |name| {
                assert_eq!(name, "KSM_HOSTNAME");
                variable.map(OsString::from)
            });
            assert_eq!(host.as_deref(), expected, "{variable:?}");
        }
    }

    #[test]
    fn no_timeout_overflows_a_clock() {
        let settings = with(|settings| settings.request_timeout = Duration::MAX);
        assert_eq!(parse(settings, &[]).unwrap().request_timeout, LONGEST);
    }
}
