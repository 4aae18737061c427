use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::ConfigDocument;
use crate::ConfigKey;

/// The state of the client that a document describes.
///
/// ```
/// use ksm_storage_core::{BindState, ConfigDocument, ConfigKey};
///
/// let mut document = ConfigDocument::new();
/// document.set(ConfigKey::Hostname, "keepersecurity.com");
/// assert_eq!(document.bind_state(), BindState::Empty);
/// document.set(ConfigKey::ClientKey, "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY");
/// assert_eq!(document.bind_state(), BindState::Unbound);
/// document.set(ConfigKey::ClientId, "abc");
/// assert_eq!(document.bind_state(), BindState::Invalid(ConfigKey::ClientId));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BindState {
    /// No credentials at all.
    Empty,
    /// Keys are present, but none of a Keeper configuration: something else is stored here, perhaps a configuration
    /// nested one level too deep.
    Unrecognized,
    /// Some credentials (a one-time token, a key pair), but not all that a bound client has.
    Unbound,
    /// This credential is malformed: truncated, or some other kind of data. The client cannot start.
    Invalid(ConfigKey),
    /// The application key, client ID and private key are present: the client can start.
    Bound,
}

impl BindState {
    /// The state's name, for logs, JSON and other languages. It never changes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Unrecognized => "unrecognized",
            Self::Unbound => "unbound",
            Self::Invalid(_) => "invalid",
            Self::Bound => "bound",
        }
    }
}

type Check = fn(&[u8]) -> bool;

/// The credentials of a bound client.
const CREDENTIALS: [(ConfigKey, Check); 3] = [
    (ConfigKey::AppKey, |key| key.len() == 32),
    (ConfigKey::ClientId, |hash| hash.len() == 64),
    (ConfigKey::PrivateKey, is_private_key),
];

impl ConfigDocument {
    /// The state of the client. A key with an empty string counts as absent.
    ///
    /// Only the encoding and size of a credential are checked: a key of the right size may still be the wrong key. A
    /// document may hold more than a configuration; see [`unknown_keys`](Self::unknown_keys).
    pub fn bind_state(&self) -> BindState {
        let text = |key| self.get(key).map(ExposeSecret::expose_secret).filter(|text| !text.is_empty());
        let mut present = 0;
        for (key, is_plausible) in CREDENTIALS {
            match text(key) {
                Some(text) if decodes_to(text, is_plausible) => present += 1,
                Some(_) => return BindState::Invalid(key),
                None => {}
            }
        }
        if present == CREDENTIALS.len() {
            BindState::Bound
        } else if present > 0 || text(ConfigKey::ClientKey).is_some() {
            BindState::Unbound
        } else if self.unknown_keys() > 0 && self.known().next().is_none() {
            BindState::Unrecognized
        } else {
            BindState::Empty
        }
    }
}

/// Returns true if `text` is base64 (either alphabet, padded or not) and its content `is_plausible`.
fn decodes_to(text: &str, is_plausible: Check) -> bool {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    // On the stack, because reads allocate nothing. The longest credential has 150 bytes.
    let mut decoded = Zeroizing::new([0; 256]);
    [STANDARD, URL_SAFE].iter().any(|alphabet| {
        let len = GeneralPurpose::new(alphabet, CONFIG).decode_slice(text, &mut *decoded);
        len.is_ok_and(|len| is_plausible(&decoded[..len]))
    })
}

/// Returns true for DER that has the structure of a P-256 key in PKCS#8 and the length that it states.
fn is_private_key(der: &[u8]) -> bool {
    /// `id-ecPublicKey` with the parameter `secp256r1`, and the tag of the key itself.
    const P256: &[u8] =
        b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04";
    let content = match der {
        [0x30, 0x81, len, content @ ..] | [0x30, len @ ..=0x7f, content @ ..] => {
            Some(content).filter(|content| content.len() == usize::from(*len))
        }
        _ => None,
    };
    content.is_some_and(|content| match content {
        [0x02, 0x01, 0x00 | 0x01, rest @ ..] => rest.starts_with(P256),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use BindState::{Bound, Empty, Invalid, Unbound, Unrecognized};
    use ConfigKey::{AppKey, ClientId, ClientKey, Hostname, PrivateKey};
    use base64::engine::general_purpose::{STANDARD as PADDED, URL_SAFE_NO_PAD};

    use super::*;

    fn state<const N: usize>(values: [(ConfigKey, &str); N]) -> BindState {
        let mut document = ConfigDocument::new();
        for (key, value) in values {
            document.set(key, value);
        }
        document.bind_state()
    }

    fn app_key() -> String {
        PADDED.encode([0xfb; 32])
    }

    fn client_id() -> String {
        PADDED.encode([0xfb; 64])
    }

    /// The shortest form: a private key without the public one.
    fn der() -> Vec<u8> {
        let mut der = b"\x30\x41\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x27\x30\x25\x02\x01\x01\x04\x20".to_vec();
        der.extend([7; 32]);
        der
    }

    #[test]
    fn bound_needs_the_whole_group() {
        let (app_key, client_id, private_key) = (app_key(), client_id(), PADDED.encode(der()));
        let [app_key, client_id, private_key] =
            [(AppKey, &*app_key), (ClientId, &*client_id), (PrivateKey, &*private_key)];
        assert_eq!(state([]), Empty);
        assert_eq!(state([(Hostname, "h"), (ClientKey, ""), (AppKey, "")]), Empty);
        for one in [app_key, client_id, private_key, (ClientKey, "x")] {
            assert_eq!(state([one]), Unbound);
        }
        assert_eq!(state([client_id, private_key]), Unbound);
        assert_eq!(state([app_key, client_id]), Unbound);
        assert_eq!(state([app_key, client_id, private_key]), Bound);
        assert_eq!(state([app_key, client_id, private_key, (ClientKey, "x")]), Bound);
    }

    #[test]
    fn every_base64_is_read() {
        for (app_key, client_id) in [
            (app_key(), client_id()),
            (URL_SAFE_NO_PAD.encode([0xfb; 32]), URL_SAFE_NO_PAD.encode([0xfb; 64])),
        ] {
            let private_key = PADDED.encode(der());
            assert_eq!(
                state([(AppKey, &app_key), (ClientId, &client_id), (PrivateKey, &private_key)]),
                Bound
            );
        }
    }

    #[test]
    fn impossible_credentials_are_named() {
        let other_curve = der().into_iter().map(|byte| if byte == 0x2a { 0x2b } else { byte });
        let mut long = der();
        long.push(0);
        for (key, value) in [
            (AppKey, PADDED.encode([0; 31])),
            (AppKey, PADDED.encode([0; 33])),
            (AppKey, app_key()[..40].to_owned()),
            (AppKey, "no base64".to_owned()),
            (AppKey, "A".repeat(100_000)),
            (ClientId, PADDED.encode([0; 32])),
            (ClientId, client_id() + "\n"),
            (PrivateKey, PADDED.encode([0; 67])),
            (PrivateKey, PADDED.encode(&der()[..66])),
            (PrivateKey, PADDED.encode(long)),
            (PrivateKey, PADDED.encode(other_curve.collect::<Vec<_>>())),
            (PrivateKey, PADDED.encode([0x30])),
            (PrivateKey, PADDED.encode([]) + "="),
        ] {
            assert_eq!(state([(key, &value)]), Invalid(key), "{} characters", value.len());
            let (app_key, client_id, private_key) = (app_key(), client_id(), PADDED.encode(der()));
            let whole =
                [(AppKey, &*app_key), (ClientId, &*client_id), (PrivateKey, &*private_key), (key, &*value)];
            assert_eq!(state(whole), Invalid(key));
        }
    }

    /// Includes the public key, the curve, and a later version of the format.
    #[test]
    fn longer_keys_are_read() {
        for (more, version) in [(70, 0), (83, 0), (70, 1)] {
            let mut long = der();
            long.splice(..2, [0x30, 0x81, 65 + more]);
            long[5] = version;
            long.extend(vec![1; more.into()]);
            assert_eq!(state([(PrivateKey, &PADDED.encode(long))]), Unbound);
        }
    }

    #[test]
    fn foreign_documents_are_recognized() {
        let state = |json: &str| ConfigDocument::parse(json.as_bytes()).unwrap().bind_state();
        assert_eq!(state("{}"), Empty);
        assert_eq!(state(r#"{"KSM_CONFIG": "eyJjbGllbnRJZCI6"}"#), Unrecognized);
        assert_eq!(state(r#"{"username": "u", "password": "p"}"#), Unrecognized);
        assert_eq!(state(r#"{"username": "u", "hostname": "h"}"#), Empty);
        assert_eq!(state(r#"{"username": "u", "clientKey": "t"}"#), Unbound);
    }
}
