//! The change that an import or a copy makes.

use std::{collections::BTreeMap, fmt::Write};

use ksm_storage::{BindState, ConfigDocument, ConfigKey, Error, ErrorKind, ExposeSecret};
use serde_json::{Value, json, value::RawValue};

/// The lengths of a key's value before and after.
pub(crate) struct Change {
    key: ConfigKey,
    before: Option<usize>,
    after: Option<usize>,
}

/// The differences of two documents, without any value.
pub(crate) struct Changes {
    keys: Vec<Change>,
    unknown: (usize, usize),
    /// False if the documents are equal.
    pub(crate) differ: bool,
}

impl Changes {
    pub(crate) fn between(before: &ConfigDocument, after: &ConfigDocument) -> Self {
        let length =
            |document: &ConfigDocument, key| document.get(key).map(|value| value.expose_secret().len());
        let keys = ConfigKey::ALL.iter().copied().filter_map(|key| {
            let same = match (before.get(key), after.get(key)) {
                (Some(one), Some(other)) => one.expose_secret() == other.expose_secret(),
                (None, None) => true,
                _ => false,
            };
            (!same).then(|| Change { key, before: length(before, key), after: length(after, key) })
        });
        Self {
            keys: keys.collect(),
            unknown: (before.unknown_keys(), after.unknown_keys()),
            differ: before != after,
        }
    }

    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        for Change { key, before, after } in &self.keys {
            let key = key.as_str();
            let _ = match (before, after) {
                (None, Some(after)) => writeln!(text, "  + {key:<18} {after} bytes"),
                (Some(before), None) => writeln!(text, "  - {key:<18} {before} bytes"),
                (before, after) => {
                    writeln!(text, "  ~ {key:<18} {} -> {} bytes", before.unwrap_or(0), after.unwrap_or(0))
                }
            };
        }
        let (before, after) = self.unknown;
        if before + after > 0 {
            let _ = writeln!(text, "    unknown keys: {before} -> {after}");
        }
        text
    }

    pub(crate) fn to_json(&self) -> Value {
        let change = |Change { key, before, after }: &Change| json!({ "key": key.as_str(), "length_before": before, "length_after": after });
        json!({
            "keys": self.keys.iter().map(change).collect::<Vec<_>>(),
            "unknown_keys_before": self.unknown.0,
            "unknown_keys_after": self.unknown.1,
        })
    }
}

/// Refuses to replace a client, or a document that is not this project's.
pub(crate) fn check_replaceable(stored: &ConfigDocument) -> Result<(), Error> {
    let problem = match stored.bind_state() {
        BindState::Empty | BindState::Unbound => return Ok(()),
        BindState::Bound => "a bound client is stored here",
        BindState::Unrecognized => "the document stored here is not a Keeper configuration",
        BindState::Invalid(_) => "a damaged configuration is stored here",
    };
    Err(Error::refused(problem).with_hint("use --replace to put another configuration in its place"))
}

/// `new`, plus the unknown keys of `stored` that it lacks.
pub(crate) fn keeping_unknown(
    stored: &ConfigDocument,
    new: &ConfigDocument,
) -> Result<ConfigDocument, Error> {
    if stored.unknown_keys() == 0 {
        return Ok(new.clone());
    }
    let is_unknown = |name: &String| !ConfigKey::ALL.iter().any(|key| key.as_str() == name);
    let invalid = |_| Error::not_applied(ErrorKind::Unexpected, "a document that was parsed is not JSON");
    let (stored, new) = (stored.to_payload(), new.to_payload());
    let mut merged: BTreeMap<String, &RawValue> =
        serde_json::from_slice(stored.as_bytes()).map_err(invalid)?;
    merged.retain(|name, _| is_unknown(name));
    merged.extend(serde_json::from_slice::<BTreeMap<String, &RawValue>>(new.as_bytes()).map_err(invalid)?);
    let merged = zeroize::Zeroizing::new(serde_json::to_vec(&merged).map_err(invalid)?);
    ConfigDocument::parse(&merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(json: &str) -> ConfigDocument {
        ConfigDocument::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn only_unused_documents_are_replaced() {
        for json in ["{}", r#"{"hostname": "h", "other": 1}"#, r#"{"clientKey": "t"}"#] {
            assert!(check_replaceable(&document(json)).is_ok(), "{json}");
        }
        for (json, problem) in [
            (r#"{"username": "u"}"#, "not a Keeper configuration"),
            (r#"{"appKey": "c2hvcnQ="}"#, "a damaged configuration"),
        ] {
            let error = check_replaceable(&document(json)).unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains("--replace"), "{error}");
        }
    }

    #[test]
    fn unknown_keys_of_both_are_kept() {
        let stored = document(r#"{"theirs": [1,  2], "both": 1, "hostname": "a", "appKey": "x"}"#);
        let new = document(r#"{"both": {"a": 1e3}, "hostname": "b", "serverPublicKeyId": 10}"#);
        let merged = keeping_unknown(&stored, &new).unwrap();
        let expected =
            document(r#"{"theirs": [1,  2], "both": {"a": 1e3}, "hostname": "b", "serverPublicKeyId": 10}"#);
        assert!(merged == expected, "{merged:?}");
    }

    #[test]
    fn changes_show_no_values() {
        let changes = Changes::between(
            &document(r#"{"hostname": "s3cret", "appKey": "s3cret"}"#),
            &document(r#"{"hostname": "s3cret2", "clientId": "s3cret", "s3cret": "s3cret"}"#),
        );
        let text = changes.to_text();
        assert_eq!(text.matches("bytes").count(), 3, "{text}");
        assert!(changes.differ && !format!("{text}{}", changes.to_json()).contains("s3cret"), "{text}");
    }
}
