//! The one-time access token.

use base64::{
    Engine,
    alphabet::URL_SAFE,
    decoded_len_estimate,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use hmac::{Hmac, KeyInit, Mac};
use ksm_storage_core::{ExposeSecret, SecretString};
use sha2::Sha512;
use zeroize::Zeroizing;

const KEY: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Bytes of the key in a token: it is an AES-256 key.
const KEY_LEN: usize = 32;

/// A token of one of the forms that the SDK accepts: `KEY`, `REGION:KEY`, `HOST:KEY`, or
/// `IL5:KEY:KEY_ID:PUBLIC_KEY`.
#[derive(Clone)]
pub(crate) struct Token {
    text: SecretString,
    key: SecretString,
    client_id: SecretString,
    names_host: bool,
}

impl Token {
    /// The error says what is wrong, without a piece of the token.
    pub(crate) fn parse(text: &SecretString) -> Result<Self, &'static str> {
        let text = text.expose_secret().trim();
        let parts: Vec<_> = text.split(':').collect();
        let key = match *parts {
            [key] => key,
            [host, key] if !host.is_empty() => key,
            [region, key, id, public_key]
                if region.eq_ignore_ascii_case("IL5") && !id.is_empty() && !public_key.is_empty() =>
            {
                key
            }
            _ => return Err("it has the form of none: KEY, REGION:KEY or HOST:KEY"),
        };
        let mut bytes = Zeroizing::new(vec![0; decoded_len_estimate(key.len())]);
        let len = KEY.decode_slice(key, &mut bytes).map_err(|_| "its key is not URL-safe base64")?;
        let bytes = &bytes[..len];
        if bytes.len() != KEY_LEN {
            return Err("its key does not have 32 bytes; it may have been cut");
        }
        let mut mac = Hmac::<Sha512>::new_from_slice(bytes).map_err(|_| "its key cannot be used")?;
        mac.update(b"KEEPER_SECRETS_MANAGER_CLIENT_ID");
        Ok(Self {
            text: text.into(),
            key: key.into(),
            client_id: STANDARD.encode(mac.finalize().into_bytes()).into(),
            names_host: parts.len() > 1,
        })
    }

    /// As the SDK wants it.
    pub(crate) fn text(&self) -> &str {
        self.text.expose_secret()
    }

    /// The key part: the `clientKey` of a configuration that is not bound yet.
    pub(crate) fn key(&self) -> &str {
        self.key.expose_secret()
    }

    /// The client that the token makes.
    pub(crate) fn client_id(&self) -> &str {
        self.client_id.expose_secret()
    }

    /// Returns true if it says which host it is for.
    pub(crate) fn names_host(&self) -> bool {
        self.names_host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    fn parse(text: &str) -> Result<Token, &'static str> {
        Token::parse(&text.into())
    }

    #[test]
    fn every_form_gives_the_same_client() {
        let bare = parse(KEY).unwrap();
        assert!(!bare.names_host() && parse(&format!("US:{KEY}")).unwrap().names_host());
        assert_eq!((bare.key(), bare.text()), (KEY, KEY));
        let padded = format!("{KEY}=");
        for text in
            [&*format!("US:{KEY}"), &format!(" eu:{KEY}\n"), &format!("il5:{KEY}:901:BPoint"), &padded]
        {
            assert_eq!(parse(text).unwrap().client_id(), bare.client_id(), "{text}");
        }
    }

    #[test]
    fn the_client_id_is_the_one_the_sdk_computes() {
        use keeper_secrets_manager_core::{
            ClientOptions, KeyValueStorage, KvStoreType, SecretsManager, config_keys::ConfigKeys,
        };
        let config = crate::config::seed(&ksm_storage_core::ConfigDocument::new()).unwrap();
        let options = ClientOptions::new_client_options_with_token(format!("US:{KEY}"), config);
        let manager = SecretsManager::new(options).unwrap();
        assert!(matches!(manager.config, KvStoreType::InMemory(_)));
        let client_id = manager.config.get(ConfigKeys::KeyClientId).unwrap();
        assert_eq!(client_id.as_deref(), Some(parse(KEY).unwrap().client_id()));
    }

    #[test]
    fn a_wrong_token_is_refused_without_being_repeated() {
        let with_key = [":KEY", "US:KEY:1", "US:KEY:901:point", "IL5:KEY::point", "IL5:KEY:901:"];
        let with_key = with_key.map(|form| form.replace("KEY", KEY));
        let without = ["", ":", "US:", "US:short", "US:!!!", "a:b:c:d"];
        for text in without.into_iter().chain(with_key.iter().map(|text| &**text)) {
            let error = parse(text).err().unwrap_or_else(|| panic!("{text} was accepted"));
            assert!(text.len() < 4 || !error.contains(text), "{error}");
        }
    }
}
