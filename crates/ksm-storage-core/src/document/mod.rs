//! The configuration document: its content, its parser ([`parse`]) and its writer ([`write`]).

mod bind;
mod escape;
mod parse;
mod value;
mod write;

use std::{fmt, sync::Arc};

use secrecy::SecretString;

pub use bind::BindState;
pub(crate) use value::Value;

use self::value::Others;
use crate::{ConfigKey, Payload, Result};

/// A Keeper Secrets Manager client configuration: a JSON object.
///
/// The eleven keys of [`ConfigKey`] can be read and changed. All other keys, and values of known keys that are not
/// strings, are preserved byte for byte. Names and values live in buffers that are shared by clones and zeroized when
/// the last of these is dropped. `Debug` lists known keys and only counts the others, whose names may be secret.
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
///     "ConfigDocument {hostname: 18 bytes, serverPublicKeyId: 2 bytes, 1 unknown}"
/// );
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Default)]
pub struct ConfigDocument {
    /// Indexed by the key's position in [`ConfigKey::ALL`].
    known: [Option<Value>; ConfigKey::ALL.len()],
    other: Arc<Others>,
}

impl ConfigDocument {
    /// The largest stored document, in bytes: 64 KiB, the limit of AWS Secrets Manager.
    pub const MAX_LEN: usize = 65_536;

    /// The deepest nesting of arrays and objects in a stored document.
    pub const MAX_DEPTH: usize = 128;

    /// An empty document.
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses a stored document: a JSON object in UTF-8, or base64 of one.
    ///
    /// The base64 may be standard or URL-safe, padded or not, and broken into lines. White space and a byte order mark
    /// around the text are skipped. If a name occurs twice, the last occurrence counts, as in every Keeper SDK.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`](crate::ErrorKind::InvalidConfig), with the position and what was expected there,
    /// but never with any of the content.
    pub fn parse(stored: &[u8]) -> Result<Self> {
        parse::parse(stored)
    }

    /// The document as it is stored: JSON with sorted names and an indent of four spaces, the format of Keeper's Python
    /// storage.
    pub fn to_payload(&self) -> Payload {
        write::to_payload(self)
    }

    /// Length of [`to_payload`](Self::to_payload) in bytes.
    pub fn encoded_len(&self) -> usize {
        write::encoded_len(self)
    }

    /// The string stored under `key`, or the text of a number: some SDKs write `"serverPublicKeyId": 10`. `None` for
    /// anything else (`null`, `true`, an array, an object), since no client could use it.
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
        self.set_value(key, Value::text(value.into()));
    }

    pub(crate) fn set_value(&mut self, key: ConfigKey, value: Value) {
        self.known[key as usize] = Some(value);
    }

    /// Removes `key`. Returns true if it was present, with any value.
    pub fn remove(&mut self, key: ConfigKey) -> bool {
        self.known[key as usize].take().is_some()
    }

    /// Removes every key, including unknown ones.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Returns true if the document has no keys.
    pub fn is_empty(&self) -> bool {
        self.other.len() == 0 && self.known.iter().all(Option::is_none)
    }

    /// Number of keys that are not in [`ConfigKey`].
    pub fn unknown_keys(&self) -> usize {
        self.other.len()
    }

    /// The names of all keys, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries().map(|(name, _)| name)
    }

    /// All keys with their values, sorted by name.
    fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        let mut known = self.known();
        let mut other = self.other.iter();
        let (mut next_known, mut next_other) = (known.next(), other.next());
        std::iter::from_fn(move || match (next_known, next_other) {
            (Some((name, _)), Some((unknown, _))) if name > unknown => {
                std::mem::replace(&mut next_other, other.next())
            }
            (None, _) => std::mem::replace(&mut next_other, other.next()),
            _ => std::mem::replace(&mut next_known, known.next()),
        })
    }

    /// Known keys with their values, sorted by name.
    fn known(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        let keys = ConfigKey::ALL.iter().zip(&self.known);
        keys.filter_map(|(key, value)| Some((key.as_str(), value.as_ref()?)))
    }
}

impl PartialEq for ConfigDocument {
    fn eq(&self, other: &Self) -> bool {
        self.known == other.known && (Arc::ptr_eq(&self.other, &other.other) || self.other == other.other)
    }
}

impl Eq for ConfigDocument {}

impl fmt::Debug for ConfigDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConfigDocument {")?;
        let mut separator = "";
        for (name, value) in self.known() {
            write!(f, "{separator}{name}: {} bytes", value.content().len())?;
            separator = ", ";
        }
        if self.unknown_keys() > 0 {
            write!(f, "{separator}{} unknown", self.unknown_keys())?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn all_keys_share_one_order() {
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
    fn number_and_text_differ() {
        let number = ConfigDocument::parse(br#"{"serverPublicKeyId":10}"#).unwrap();
        let mut text = number.clone();
        text.set(ConfigKey::ServerPublicKeyId, "10");
        assert_ne!(number, text);
    }

    #[test]
    fn unknown_key_names_distinguish_documents() {
        let [one, other] =
            ["{\"a\":1}", "{\"b\":1}"].map(|json| ConfigDocument::parse(json.as_bytes()).unwrap());
        assert_ne!(one, other);
    }

    #[test]
    fn debug_counts_unknown_keys() {
        let shown = |json: &str| format!("{:?}", ConfigDocument::parse(json.as_bytes()).unwrap());
        assert_eq!(
            shown(r#"{"a\nb": "s3cret", "url": "s3cret"}"#),
            "ConfigDocument {url: 6 bytes, 1 unknown}"
        );
        assert_eq!(shown(r#"{"eyJjbGllbnRJZCI6": "", "b": 1}"#), "ConfigDocument {2 unknown}");
        assert_eq!(shown("{}"), "ConfigDocument {}");
    }

    #[test]
    fn removing_tells_whether_it_was_there() {
        let mut document = ConfigDocument::parse(br#"{"url":null}"#).unwrap();
        assert!(document.remove(ConfigKey::Url));
        assert!(!document.remove(ConfigKey::Url));
        assert!(document.is_empty());
    }
}
