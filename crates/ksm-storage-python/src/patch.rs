//! Changes to a document by key, with JSON values of any type.

use std::{collections::BTreeMap, str::FromStr};

use ksm_storage::{ConfigDocument, ConfigKey, Error, ErrorKind};
use pyo3::prelude::*;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// Keys to set and keys to remove.
pub(crate) struct Patch {
    /// With JSON values.
    set: Vec<(String, Zeroizing<String>)>,
    remove: Vec<String>,
}

impl Patch {
    pub(crate) fn new(set: Vec<(String, String)>, remove: Vec<String>) -> Self {
        Self { set: set.into_iter().map(|(key, value)| (key, Zeroizing::new(value))).collect(), remove }
    }

    /// The changes that a Python function makes to a document in JSON.
    pub(crate) fn from_function(function: &Bound<'_, PyAny>, document: &ConfigDocument) -> PyResult<Self> {
        let (set, remove) = function.call1((json(document).as_str(),))?.extract()?;
        Ok(Self::new(set, remove))
    }

    pub(crate) fn apply(&self, document: &mut ConfigDocument) -> Result<(), Error> {
        let mut others = Vec::new();
        for (name, value) in &self.set {
            match (ConfigKey::from_str(name), serde_json::from_str::<String>(value)) {
                (Ok(key), Ok(text)) => document.set(key, text),
                _ => others.push((name, Some(value))),
            }
        }
        for name in &self.remove {
            match ConfigKey::from_str(name) {
                Ok(key) => drop(document.remove(key)),
                Err(_) => others.push((name, None)),
            }
        }
        if others.is_empty() {
            return Ok(());
        }
        // Core changes only strings of known keys. Everything unchanged is preserved byte for byte.
        let payload = document.to_payload();
        let invalid = |_| Error::not_applied(ErrorKind::InvalidArgument, "a value cannot be stored as JSON");
        let mut members: BTreeMap<&str, &RawValue> = BTreeMap::new();
        let stored: BTreeMap<String, Box<RawValue>> =
            serde_json::from_slice(payload.as_bytes()).map_err(invalid)?;
        members.extend(stored.iter().map(|(name, value)| (name.as_str(), &**value)));
        for (name, value) in others {
            match value {
                Some(value) => drop(members.insert(name, serde_json::from_str(value).map_err(invalid)?)),
                None => drop(members.remove(name.as_str())),
            }
        }
        let text = Zeroizing::new(serde_json::to_vec(&members).map_err(invalid)?);
        *document = ConfigDocument::parse(&text)?;
        Ok(())
    }
}

/// The document as JSON.
pub(crate) fn json(document: &ConfigDocument) -> Zeroizing<String> {
    Zeroizing::new(String::from_utf8_lossy(document.to_payload().as_bytes()).into_owned())
}
