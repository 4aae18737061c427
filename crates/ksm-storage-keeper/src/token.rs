//! The one-time access token.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use hmac::{Hmac, KeyInit, Mac};
use ksm_storage_core::{ExposeSecret, SecretString};
use sha2::Sha512;
use zeroize::Zeroizing;

use crate::{host, keys};

/// Length of the key in a token: URL-safe base64 of an AES-256 key, without padding.
const KEY_CHARS: usize = 43;

/// A token in one of the forms that the SDK accepts: `KEY`, `REGION:KEY`, `HOST:KEY`, or
/// `IL5:KEY:KEY_ID:PUBLIC_KEY`.
#[derive(Clone)]
pub(crate) struct Token {
    text: SecretString,
    key: SecretString,
    client_id: SecretString,
    host: Option<String>,
    server_key: Option<ServerKey>,
}

/// The public key of an isolated server, as contained in a token.
#[derive(Clone)]
pub(crate) struct ServerKey {
    pub(crate) id: String,
    pub(crate) key: String,
}

impl Token {
    /// Drops line ends after the token, which files and pipes add. The error is a constant and contains nothing of the
    /// token.
    pub(crate) fn parse(text: &SecretString) -> Result<Self, &'static str> {
        let text = text.expose_secret().trim_end_matches(['\r', '\n']);
        if text.chars().any(|char| char.is_whitespace() || char.is_control()) {
            return Err("it contains white space or a control character");
        }
        let parts: Vec<_> = text.splitn(5, ':').collect();
        let (host, key, server_key) = match *parts {
            [key] => (None, key, None),
            [place, key] => (Some(host(place)?), key, None),
            [region, key, id, public_key] if region.eq_ignore_ascii_case("IL5") => {
                keys::check_server_key_id(id).map_err(|_| "the ID of its server key is malformed")?;
                keys::check_server_key(public_key).map_err(|_| "its server key is not a P-256 public key")?;
                let server_key = ServerKey { id: id.to_owned(), key: public_key.to_owned() };
                (Some(host(region)?), key, Some(server_key))
            }
            _ => return Err("expected KEY, REGION:KEY or HOST:KEY"),
        };
        let client_id = client_id(key)?;
        let text = match (&host, &server_key) {
            // Allocated in full: growing would leave a copy of the text behind.
            (Some(host), None) => [host, ":", key].concat().into(),
            _ => text.into(),
        };
        Ok(Self { text, key: key.into(), client_id, host, server_key })
    }

    /// The text to pass to the SDK.
    pub(crate) fn text(&self) -> &str {
        self.text.expose_secret()
    }

    /// The key part, which becomes the `clientKey` of an unbound configuration.
    pub(crate) fn key(&self) -> &str {
        self.key.expose_secret()
    }

    /// The client ID derived from the token.
    pub(crate) fn client_id(&self) -> &str {
        self.client_id.expose_secret()
    }

    /// The token's host, given directly or by its region.
    pub(crate) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    pub(crate) fn server_key(&self) -> Option<&ServerKey> {
        self.server_key.as_ref()
    }
}

fn host(place: &str) -> Result<String, &'static str> {
    if let Some(host) = host::of_region(place) {
        return Ok(host.to_owned());
    }
    if host::check_name(place).is_err() {
        return Err("expected a region (US, EU, AU, GOV, JP, CA) or a host name before the colon");
    }
    Ok(place.to_owned())
}

fn client_id(key: &str) -> Result<SecretString, &'static str> {
    if key.ends_with('=') {
        return Err("its key ends in \"=\"; a token has no padding");
    }
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !key.bytes().all(is_known) {
        return Err("its key is not URL-safe base64");
    }
    if key.len() != KEY_CHARS {
        return Err("its key does not have 43 characters; it may have been cut");
    }
    let mut bytes = Zeroizing::new([0; 33]);
    let len = URL_SAFE_NO_PAD
        .decode_slice(key, &mut *bytes)
        .map_err(|_| "the last character of its key is wrong; it may have been cut")?;
    let mut mac = Hmac::<Sha512>::new_from_slice(&bytes[..len]).map_err(|_| "its key cannot be used")?;
    mac.update(b"KEEPER_SECRETS_MANAGER_CLIENT_ID");
    Ok(STANDARD.encode(mac.finalize().into_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    const POINT: &str =
        "BK9w6TZFxE6nFNbMfIpULCup2a8xc6w2tUTABjxny7yFmxW0dAEojwC6j6zb5nTlmb1dAx8nwo3qF7RPYGmloRM";

    fn parse(text: &str) -> Result<Token, &'static str> {
        Token::parse(&text.into())
    }

    #[test]
    fn every_form_gives_the_same_client() {
        let bare = parse(KEY).unwrap();
        assert_eq!((bare.key(), bare.text(), bare.host()), (KEY, KEY, None));
        let il5 = format!("il5:KEY:901:{POINT}");
        for (form, host) in [
            ("KEY\n", None),
            ("KEY\r\n", None),
            ("KEY\r", None),
            ("US:KEY", Some("keepersecurity.com")),
            ("eu:KEY", Some("keepersecurity.eu")),
            ("Au:KEY", Some("keepersecurity.com.au")),
            ("GOV:KEY", Some("govcloud.keepersecurity.us")),
            ("us_gov:KEY", Some("govcloud.keepersecurity.us")),
            ("JP:KEY", Some("keepersecurity.jp")),
            ("CA:KEY", Some("keepersecurity.ca")),
            ("keeper.example:KEY", Some("keeper.example")),
            ("10.1.2.3:KEY", Some("10.1.2.3")),
            (&il5, Some("il5.keepersecurity.us")),
        ] {
            let token = parse(&form.replace("KEY", KEY)).expect(form);
            assert_eq!((token.client_id(), token.key()), (bare.client_id(), KEY), "{form}");
            assert_eq!(token.host(), host, "{form}");
            assert_eq!(token.server_key().is_some(), form == il5, "{form}");
        }
    }

    #[test]
    fn client_id_matches_the_sdk() {
        use keeper_secrets_manager_core::{
            ClientOptions, KeyValueStorage, KvStoreType, SecretsManager, config_keys::ConfigKeys,
        };
        for form in ["US:KEY".to_owned(), "us_gov:KEY".to_owned(), format!("il5:KEY:901:{POINT}")] {
            let token = parse(&form.replace("KEY", KEY)).unwrap();
            let config = crate::config::seed(&ksm_storage_core::ConfigDocument::new()).unwrap();
            let options = ClientOptions::new_client_options_with_token(token.text().to_owned(), config);
            let manager = SecretsManager::new(options).unwrap();
            assert!(matches!(manager.config, KvStoreType::InMemory(_)));
            let client_id = manager.config.get(ConfigKeys::KeyClientId).unwrap();
            assert_eq!(client_id.as_deref(), Some(token.client_id()));
            assert_eq!(manager.config.get(ConfigKeys::KeyHostname).unwrap().as_deref(), token.host());
        }
    }

    #[test]
    fn malformed_tokens_are_rejected_unquoted() {
        const FORM: &str = "expected KEY, REGION:KEY or HOST:KEY";
        const PLACE: &str = "expected a region (US, EU, AU, GOV, JP, CA) or a host name";
        const SPACE: &str = "white space or a control character";
        const PADDED: &str = "ends in \"=\"";
        const ALPHABET: &str = "not URL-safe base64";
        const LENGTH: &str = "43 characters";
        const LAST: &str = "last character";
        const SERVER_KEY: &str = "its server key is not a P-256 public key";
        let long = "A".repeat(1 << 20);
        let cut = &KEY[..42];
        for (form, reason) in [
            ("", LENGTH),
            (":", PLACE),
            ("US:", LENGTH),
            (":KEY", PLACE),
            ("::KEY", FORM),
            ("US:KEY:", FORM),
            ("US:KEY:1", FORM),
            ("US::KEY", FORM),
            ("KEY:US", PLACE),
            ("US:short", LENGTH),
            ("US:!!!", ALPHABET),
            ("a:b:c:d", FORM),
            ("a:b:c:d:e:f", FORM),
            ("KEY=", PADDED),
            ("KEY==", PADDED),
            ("US:KEY=", PADDED),
            ("KEYA", LENGTH),
            ("KEY KEY", SPACE),
            ("KEY ", SPACE),
            (" KEY", SPACE),
            ("\tKEY", SPACE),
            ("\nKEY", SPACE),
            ("KEY\n ", SPACE),
            ("US: KEY", SPACE),
            ("US :KEY", SPACE),
            ("KEY\0", SPACE),
            ("\u{feff}KEY", ALPHABET),
            ("KEY\u{a0}", SPACE),
            ("'KEY'", ALPHABET),
            ("\"US:KEY\"", PLACE),
            ("token=US:KEY", PLACE),
            ("ksm:KEY", PLACE),
            ("XX:KEY", PLACE),
            ("US_GOVT:KEY", PLACE),
            ("keepersecurity:KEY", PLACE),
            ("https://keepersecurity.com:KEY", FORM),
            ("keepersecurity.com/:KEY", PLACE),
            ("keepersecurity.com:443:KEY", FORM),
            ("user@keepersecurity.com:KEY", PLACE),
            ("user:pass@keepersecurity.com:KEY", FORM),
            ("[::1]:KEY", FORM),
            ("[1]:KEY", PLACE),
            ("büro.example:KEY", PLACE),
            ("US:KEY:901:POINT", FORM),
            ("IL5:KEY::POINT", "the ID of its server key is malformed"),
            ("IL5:KEY:901:", SERVER_KEY),
            ("IL5:KEY:901:AAAA", SERVER_KEY),
            ("IL5:KEY:9 1:POINT", SPACE),
            ("IL5:KEY:901:POINT=", SERVER_KEY),
            ("IL5:KEY:901:POINT:x", FORM),
            // The last two bits of 43 characters are not part of the key.
            ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9", LAST),
            ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh+", ALPHABET),
            ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH/8", ALPHABET),
            (cut, LENGTH),
            (&long, LENGTH),
        ] {
            let text = form.replace("KEY", KEY).replace("POINT", POINT);
            let why = parse(&text).err().unwrap_or_else(|| panic!("{form:?} was accepted"));
            assert!(why.contains(reason), "{form:?}: {why}");
            assert!(!why.contains('\n') && !why.contains(cut), "{why}");
        }
    }
}
