//! The keys of a configuration, parsed.
//!
//! On first use of a malformed key, the SDK returns a cryptography error or panics. This module detects whatever it can
//! at the start, and names the key.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};
use ksm_storage_core::{BindState, ConfigDocument, ConfigKey, ExposeSecret, SecretString};
use p256::{PublicKey, SecretKey, pkcs8::DecodePrivateKey};
use zeroize::Zeroizing;

use crate::{config::text, host, token::Token};

/// Length of an AES-256 key in bytes.
const APP_KEY_LEN: usize = 32;
/// Length of an HMAC-SHA512 in bytes.
const CLIENT_ID_LEN: usize = 64;
/// Maximum length of a server key ID in characters.
const MAX_KEY_ID: usize = 64;

type Check = Result<(), &'static str>;
type Checked = (ConfigKey, fn(&str) -> Check);

/// The first key whose value no client can use, and the reason. Absent keys are valid.
pub(crate) fn first_invalid(document: &ConfigDocument) -> Option<(ConfigKey, &'static str)> {
    let checks: [Checked; 7] = [
        (ConfigKey::PrivateKey, check_private_key),
        (ConfigKey::AppKey, check_app_key),
        (ConfigKey::ClientId, check_client_id),
        (ConfigKey::ClientKey, check_client_key),
        (ConfigKey::Hostname, host::check_stored),
        (ConfigKey::ServerPublicKey, check_server_key),
        (ConfigKey::ServerPublicKeyId, check_server_key_id),
    ];
    // A bound client no longer uses the remains of its token.
    let is_used = |key| key != ConfigKey::ClientKey || document.bind_state() != BindState::Bound;
    let mut used = checks.into_iter().filter(|(key, _)| is_used(*key));
    used.find_map(|(key, check)| Some((key, check(text(document, key)?).err()?)))
}

/// The state of the client. A client with a malformed key is not bound, even if core considers it bound.
pub(crate) fn bind_state(document: &ConfigDocument) -> BindState {
    match (document.bind_state(), first_invalid(document)) {
        (BindState::Bound, Some((key, _))) => BindState::Invalid(key),
        (state, _) => state,
    }
}

/// Decodes base64 in one of the alphabets, with padding, as the SDK does.
fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let engine = if text.contains(['+', '/']) { STANDARD } else { URL_SAFE };
    engine.decode(text).map(Zeroizing::new).map_err(|_| "it is not base64 with padding")
}

fn check_private_key(text: &str) -> Check {
    SecretKey::from_pkcs8_der(&decode(text)?).map(drop).map_err(|_| "it is not a P-256 key in PKCS#8")
}

fn check_app_key(text: &str) -> Check {
    if decode(text)?.len() == APP_KEY_LEN { Ok(()) } else { Err("it does not have 32 bytes") }
}

fn check_client_id(text: &str) -> Check {
    if decode(text)?.len() == CLIENT_ID_LEN { Ok(()) } else { Err("it does not have 64 bytes") }
}

fn check_client_key(text: &str) -> Check {
    let key = SecretString::from(text);
    match Token::parse(&key) {
        Ok(token) if token.key() == key.expose_secret() => Ok(()),
        _ => Err("it is not the key of a one-time token"),
    }
}

/// Checks the public key of an isolated server: URL-safe base64 of an uncompressed point.
pub(crate) fn check_server_key(text: &str) -> Check {
    let point = URL_SAFE_NO_PAD.decode(text).map_err(|_| "it is not URL-safe base64 without padding")?;
    if point.len() != 65 {
        return Err("it does not have 65 bytes");
    }
    PublicKey::from_sec1_bytes(&point).map(drop).map_err(|_| "it is not a point of P-256")
}

/// Checks the ID of a server key, which is sent as a header.
pub(crate) fn check_server_key_id(text: &str) -> Check {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=MAX_KEY_ID).contains(&text.len()) && text.bytes().all(is_known) {
        return Ok(());
    }
    Err("it is not the ID of a key, such as 10")
}
