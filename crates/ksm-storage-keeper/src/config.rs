//! Converts the configuration between the SDK and a storage.

use keeper_secrets_manager_core::{
    InMemoryKeyValueStorage, KSMRError, KeyValueStorage, KvStoreType, config_keys::ConfigKeys,
};
use ksm_storage_core::{ConfigDocument, ConfigKey, ExposeSecret};

/// The SDK's name of a key. Both know the same eleven.
pub(crate) fn sdk_key(key: ConfigKey) -> Option<ConfigKeys> {
    ConfigKeys::get_enum(key.as_str())
}

/// The SDK's initial input: the values of the known keys, as strings. It accepts nothing else.
pub(crate) fn seed(document: &ConfigDocument) -> Result<KvStoreType, KSMRError> {
    let value = |&key| Some((sdk_key(key)?, document.get(key)?.expose_secret().to_owned()));
    let mut config = InMemoryKeyValueStorage::new(None)?;
    // All at once: the SDK answers each single change with a copy of everything.
    config.save_storage(ConfigKey::ALL.iter().filter_map(value).collect())?;
    Ok(KvStoreType::InMemory(config))
}

/// The SDK's current values.
pub(crate) fn read(config: &KvStoreType) -> Result<ConfigDocument, KSMRError> {
    let mut document = ConfigDocument::new();
    for &key in ConfigKey::ALL {
        if let Some(value) = sdk_key(key).map(|name| config.get(name)).transpose()?.flatten() {
            document.set(key, value);
        }
    }
    Ok(document)
}

/// The keys in which two documents differ from the SDK's point of view.
pub(crate) fn differing(one: &ConfigDocument, other: &ConfigDocument) -> Vec<ConfigKey> {
    let differs = |key: &ConfigKey| text(one, *key) != text(other, *key);
    ConfigKey::ALL.iter().copied().filter(differs).collect()
}

/// Copies `keys` from `wanted` to `stored`. Equal values are not rewritten, so that a number stays a number.
pub(crate) fn copy(stored: &mut ConfigDocument, wanted: &ConfigDocument, keys: &[ConfigKey]) {
    for &key in keys {
        match text(wanted, key) {
            Some(value) if text(stored, key) != Some(value) => stored.set(key, value),
            None if stored.contains(key) => drop(stored.remove(key)),
            _ => {}
        }
    }
}

/// The value of a key, or `None` if it is empty, which SDKs treat as absent.
pub(crate) fn text(document: &ConfigDocument, key: ConfigKey) -> Option<&str> {
    document.get(key).map(ExposeSecret::expose_secret).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> ConfigDocument {
        ConfigDocument::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn the_sdk_knows_every_key() {
        for &key in ConfigKey::ALL {
            assert_eq!(sdk_key(key).map(|name| name.value().to_owned()).as_deref(), Some(key.as_str()));
        }
    }

    #[test]
    fn numbers_and_unknown_keys_survive() {
        let mut stored = parse(r#"{"appUid": "u", "serverPublicKeyId": 10, "url": null, "clientId": "c"}"#);
        let before = stored.clone();
        let seen = read(&seed(&stored).unwrap()).unwrap();
        assert_eq!(seen, parse(r#"{"clientId": "c", "serverPublicKeyId": "10"}"#));
        copy(&mut stored, &seen, ConfigKey::ALL);
        assert_eq!(stored, before);
    }

    #[test]
    fn only_named_keys_are_copied() {
        let mut stored = parse(r#"{"clientKey": "k", "hostname": "theirs"}"#);
        let wanted = parse(r#"{"appKey": "a", "hostname": "ours"}"#);
        copy(&mut stored, &wanted, &[ConfigKey::AppKey, ConfigKey::ClientKey]);
        assert_eq!(stored, parse(r#"{"appKey": "a", "hostname": "theirs"}"#));
        assert_eq!(differing(&stored, &wanted), [ConfigKey::Hostname]);
    }
}
