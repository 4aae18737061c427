//! The configuration document: what it holds, how it is read ([`parse`]) and written ([`write`]).

mod escape;
mod parse;
mod write;

use std::{cmp::Ordering, collections::BTreeMap, fmt, sync::Arc};

use secrecy::{ExposeSecret, SecretString};

use crate::{ConfigKey, Payload, Result};

/// The state of the client that a document describes.
///
/// ```
/// use ksm_storage_core::{BindState, ConfigDocument, ConfigKey};
///
/// let mut document = ConfigDocument::new();
/// document.set(ConfigKey::Hostname, "keepersecurity.com");
/// assert_eq!(document.bind_state(), BindState::Empty);
/// document.set(ConfigKey::ClientId, "abc");
/// assert_eq!(document.bind_state(), BindState::Unbound);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BindState {
    /// No credentials at all.
    Empty,
    /// Some credentials (a one-time token, a key pair), but not all that a bound client has.
    Unbound,
    /// Application key, client id and private key are there: the client can start.
    Bound,
}

/// A Keeper Secrets Manager client configuration: a JSON object.
///
/// The eleven keys of [`ConfigKey`] can be read and changed. Every other key is kept as it is, byte for byte, and so is
/// a value of a known key that is not a string. Names and values live in buffers that are zeroized when the last document
/// that shares them is dropped; a clone copies none.
///
/// ```
/// use ksm_storage_core::{ConfigDocument, ConfigKey, Error, ExposeSecret};
///
/// let mut document = ConfigDocument::parse(br#"{"serverPublicKeyId": 10, "appUid": [1, 2]}"#)?;
/// assert_eq!(document.get(ConfigKey::ServerPublicKeyId).unwrap().expose_secret(), "10");
///
/// document.set(ConfigKey::Hostname, "keepersecurity.com");
/// assert_eq!(
///     document.to_payload().as_bytes(),
///     br#"{
///     "appUid": [1, 2],
///     "hostname": "keepersecurity.com",
///     "serverPublicKeyId": 10
/// }"#
/// );
/// assert_eq!(
///     format!("{document:?}"),
///     "ConfigDocument {appUid: 6 bytes, hostname: 18 bytes, serverPublicKeyId: 2 bytes}"
/// );
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Default)]
pub struct ConfigDocument {
    /// At the index of the key in [`ConfigKey::ALL`].
    known: [Option<Value>; ConfigKey::ALL.len()],
    other: BTreeMap<Name, Value>,
}

/// The name of an unknown key. It is shown, but zeroized like a value: who knows what a person puts there.
#[derive(Clone)]
struct Name(Arc<SecretString>);

/// A value of the object.
#[derive(Clone)]
enum Value {
    /// A string of a known key, without its escapes.
    Text(Arc<SecretString>),
    /// The JSON text of anything else.
    Json(Arc<SecretString>),
}

impl ConfigDocument {
    /// The most bytes that a stored document may have: 64 KiB, the limit of AWS Secrets Manager.
    pub const MAX_LEN: usize = 65_536;

    /// The most arrays and objects that may be open at once in a stored document.
    pub const MAX_DEPTH: usize = 128;

    /// A document without any key.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a stored document: a JSON object in UTF-8, or base64 of one.
    ///
    /// The base64 may be standard or URL-safe, padded or not, and broken into lines; white space and a byte order mark
    /// around the text are skipped. If a name occurs twice, the last one counts, as in every Keeper SDK.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`](crate::ErrorKind::InvalidConfig), with the position and what was expected there,
    /// never with a piece of the content.
    pub fn parse(stored: &[u8]) -> Result<Self> {
        parse::parse(stored)
    }

    /// The document as it is stored: JSON with the names in order and an indent of four spaces, which is what
    /// Keeper's Python storage writes.
    pub fn to_payload(&self) -> Payload {
        write::to_payload(self)
    }

    /// Number of bytes of [`to_payload`](Self::to_payload).
    pub fn encoded_len(&self) -> usize {
        write::encoded_len(self)
    }

    /// The string under `key`, or the text of the number there: some SDKs write `"serverPublicKeyId": 10`. Anything
    /// else (`null`, `true`, an array, an object) is no value that a client could use: `None`.
    #[inline]
    pub fn get(&self, key: ConfigKey) -> Option<&SecretString> {
        self.known[key as usize].as_ref().and_then(Value::as_text)
    }

    /// Returns true if [`get`](Self::get) returns a value.
    #[inline]
    pub fn contains(&self, key: ConfigKey) -> bool {
        self.get(key).is_some()
    }

    /// Sets `key` to a string.
    pub fn set(&mut self, key: ConfigKey, value: impl Into<SecretString>) {
        self.known[key as usize] = Some(Value::Text(Arc::new(value.into())));
    }

    /// Removes `key`, and tells whether it was there, with whatever value.
    pub fn remove(&mut self, key: ConfigKey) -> bool {
        self.known[key as usize].take().is_some()
    }

    /// Removes every key, the unknown ones too.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Returns true if there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.entries().next().is_none()
    }

    /// The names of all keys, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries().map(|(name, _)| name)
    }

    /// The state of the client. A key with an empty string counts as absent.
    pub fn bind_state(&self) -> BindState {
        let has = |key| self.get(key).is_some_and(|value| !value.expose_secret().is_empty());
        let [app_key, client_id, private_key, client_key] =
            [ConfigKey::AppKey, ConfigKey::ClientId, ConfigKey::PrivateKey, ConfigKey::ClientKey].map(has);
        if app_key && client_id && private_key {
            BindState::Bound
        } else if app_key || client_id || private_key || client_key {
            BindState::Unbound
        } else {
            BindState::Empty
        }
    }

    /// All keys with their values, in the order of their names.
    fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        let mut known = ConfigKey::ALL
            .iter()
            .zip(&self.known)
            .filter_map(|(key, value)| Some((key.as_str(), value.as_ref()?)));
        let mut other = self.other.iter().map(|(name, value)| (name.as_str(), value));
        let (mut next_known, mut next_other) = (known.next(), other.next());
        std::iter::from_fn(move || match (next_known, next_other) {
            (Some((name, _)), Some((unknown, _))) if name > unknown => {
                std::mem::replace(&mut next_other, other.next())
            }
            (None, _) => std::mem::replace(&mut next_other, other.next()),
            _ => std::mem::replace(&mut next_known, known.next()),
        })
    }
}

impl Name {
    fn as_str(&self) -> &str {
        self.0.expose_secret()
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Name {}

impl Value {
    #[inline]
    fn as_text(&self) -> Option<&SecretString> {
        match self {
            Self::Text(text) => Some(text),
            Self::Json(json) => json
                .expose_secret()
                .starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
                .then_some(json),
        }
    }

    fn content(&self) -> &Arc<SecretString> {
        match self {
            Self::Text(content) | Self::Json(content) => content,
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.content(), other.content());
        std::mem::discriminant(self) == std::mem::discriminant(other)
            && (Arc::ptr_eq(ours, theirs) || ours.expose_secret() == theirs.expose_secret())
    }
}

impl PartialEq for ConfigDocument {
    fn eq(&self, other: &Self) -> bool {
        self.known == other.known && self.other == other.other
    }
}

impl Eq for ConfigDocument {}

impl fmt::Debug for ConfigDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConfigDocument {")?;
        for (index, (name, value)) in self.entries().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}: {} bytes", name.escape_debug(), value.content().expose_secret().len())?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_other_keys_come_in_one_order() {
        let document =
            ConfigDocument::parse(br#"{"zz":1,"url":"u","b":2,"bat":"x","a":3,"appKey":"k"}"#).unwrap();
        assert_eq!(document.names().collect::<Vec<_>>(), ["a", "appKey", "b", "bat", "url", "zz"]);
    }

    #[test]
    fn only_strings_and_numbers_are_values() {
        let document = ConfigDocument::parse(
            br#"{"url":null,"bat":true,"appKey":[1],"clientId":{"a":1},"clientKey":-1.5e3,"hostname":""}"#,
        )
        .unwrap();
        for key in [ConfigKey::Url, ConfigKey::Bat, ConfigKey::AppKey, ConfigKey::ClientId] {
            assert!(!document.contains(key), "{key}");
        }
        assert_eq!(document.get(ConfigKey::ClientKey).unwrap().expose_secret(), "-1.5e3");
        assert_eq!(document.get(ConfigKey::Hostname).unwrap().expose_secret(), "");
    }

    #[test]
    fn a_number_and_its_text_are_different_values() {
        let number = ConfigDocument::parse(br#"{"serverPublicKeyId":10}"#).unwrap();
        let mut text = number.clone();
        text.set(ConfigKey::ServerPublicKeyId, "10");
        assert_ne!(number, text);
    }

    #[test]
    fn documents_differ_by_the_names_of_their_unknown_keys() {
        let document = ConfigDocument::parse(br#"{"a":1,"b":1}"#).unwrap();
        let names: Vec<_> = document.other.keys().collect();
        assert!(names[0] < names[1] && names[0] != names[1]);
        let [one, other] =
            ["{\"a\":1}", "{\"b\":1}"].map(|json| ConfigDocument::parse(json.as_bytes()).unwrap());
        assert_ne!(one, other);
    }

    #[test]
    fn bind_state_needs_the_whole_group() {
        let state = |json: &str| ConfigDocument::parse(json.as_bytes()).unwrap().bind_state();
        assert_eq!(state(r"{}"), BindState::Empty);
        assert_eq!(state(r#"{"hostname":"h","clientKey":""}"#), BindState::Empty);
        for one in ["appKey", "clientId", "privateKey", "clientKey"] {
            assert_eq!(state(&format!(r#"{{"{one}":"x"}}"#)), BindState::Unbound, "{one}");
        }
        assert_eq!(state(r#"{"clientId":"i","privateKey":"p"}"#), BindState::Unbound);
        assert_eq!(state(r#"{"appKey":"a","clientId":"i"}"#), BindState::Unbound);
        assert_eq!(state(r#"{"appKey":"a","clientId":"i","privateKey":"p"}"#), BindState::Bound);
    }

    #[test]
    fn debug_is_one_line_whatever_the_names_are() {
        let document = ConfigDocument::parse(br#"{"a\nb": "s3cret", "url": "s3cret"}"#).unwrap();
        assert_eq!(format!("{document:?}"), "ConfigDocument {a\\nb: 8 bytes, url: 6 bytes}");
    }

    #[test]
    fn removing_tells_whether_it_was_there() {
        let mut document = ConfigDocument::parse(br#"{"url":null}"#).unwrap();
        assert!(document.remove(ConfigKey::Url));
        assert!(!document.remove(ConfigKey::Url));
        assert!(document.is_empty());
    }
}
