//! The parts of a document. Clones share them, and each knows its length in the written document.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use secrecy::{ExposeSecret, SecretString};

use super::write::string_len;

/// A value of the object. Clones share the content.
#[derive(Clone)]
pub(crate) struct Value {
    form: Form,
    content: Arc<SecretString>,
    encoded_len: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A string of a known key, unescaped.
    Text,
    /// The JSON text of anything else.
    Json,
}

impl Value {
    pub(crate) fn text(text: SecretString) -> Self {
        let encoded_len = string_len(text.expose_secret());
        Self { form: Form::Text, content: Arc::new(text), encoded_len }
    }

    pub(super) fn json(raw: &str) -> Self {
        Self { form: Form::Json, content: Arc::new(raw.into()), encoded_len: raw.len() }
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    pub(super) fn content(&self) -> &str {
        self.content.expose_secret()
    }

    /// Length of the value in the written document, in bytes.
    pub(super) fn encoded_len(&self) -> usize {
        self.encoded_len
    }

    #[inline]
    pub(super) fn as_text(&self) -> Option<&SecretString> {
        match self.form {
            Form::Text => Some(&self.content),
            Form::Json => self
                .content()
                .starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
                .then_some(&self.content),
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.form == other.form
            && (Arc::ptr_eq(&self.content, &other.content) || self.content() == other.content())
    }
}

/// The name of an unknown key, zeroized like a value, because a user may have put a secret there.
struct Name(SecretString);

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

/// The unknown keys.
#[derive(Default)]
pub(super) struct Others {
    values: BTreeMap<Name, Value>,
    encoded_len: usize,
}

impl Others {
    /// Inserts a key, replacing one with the same name.
    pub(super) fn insert(&mut self, name: &str, value: Value) {
        let added = entry_len(name, &value);
        let replaced = self.values.insert(Name(name.into()), value);
        self.encoded_len += added;
        self.encoded_len -= replaced.map_or(0, |value| entry_len(name, &value));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Sum of the [`entry_len`] of all keys.
    pub(super) fn encoded_len(&self) -> usize {
        self.encoded_len
    }
}

impl PartialEq for Others {
    fn eq(&self, other: &Self) -> bool {
        self.encoded_len == other.encoded_len && self.values == other.values
    }
}

/// Length of a key with its value in the written document, including separator and indent.
pub(super) fn entry_len(name: &str, value: &Value) -> usize {
    const SEPARATORS: usize = ",\n    : ".len();
    SEPARATORS + string_len(name) + value.encoded_len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_by_their_text() {
        let [one, other] = ["a", "b"].map(|name| Name(name.into()));
        assert!(one < other && one != other);
    }
}
