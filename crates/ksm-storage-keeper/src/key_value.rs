use std::collections::HashMap;

use keeper_secrets_manager_core::{KSMRError, KeyValueStorage, config_keys::ConfigKeys};
use ksm_storage_core::{ConfigDocument, ConfigKey, Error, ExposeSecret, blocking::ConfigStorage};

use crate::config::{copy, sdk_key};

/// The SDK's own storage trait over a stored configuration.
///
/// For code that is generic over that trait. The SDK itself (17.3.0) does not accept other implementations, and would
/// write eleven times during a bind. Prefer [`KeeperClient`](crate::KeeperClient), which writes
/// twice, in an order that survives a crash.
///
/// Each `set` and `delete` is one conditional write. Keys unknown to the SDK are hidden, but count for `is_empty`, and
/// only `delete_all` removes them.
///
/// ```
/// use ksm_storage_core::blocking::ConfigStorage;
/// use ksm_storage_memory::MemoryBackend;
/// use ksm_storage_keeper::{KeyValueAdapter, sdk::{KeyValueStorage, config_keys::ConfigKeys}};
///
/// let storage = ConfigStorage::open(MemoryBackend::from_config(r#"{"appUid": "kept"}"#))?;
/// let mut config = KeyValueAdapter::new(storage);
/// config.set(ConfigKeys::KeyClientId, "abc".to_owned())?;
/// assert_eq!(config.get(ConfigKeys::KeyClientId)?.as_deref(), Some("abc"));
/// assert_eq!(config.read_storage()?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeyValueAdapter {
    storage: ConfigStorage,
}

impl KeyValueAdapter {
    /// An adapter for the configuration of `storage`.
    pub fn new(storage: ConfigStorage) -> Self {
        Self { storage }
    }

    fn key(key: &ConfigKeys) -> Result<ConfigKey, KSMRError> {
        key.value().parse().map_err(failed)
    }

    fn values(&self) -> HashMap<ConfigKeys, String> {
        let snapshot = self.storage.snapshot();
        let value = |&key| Some((sdk_key(key)?, snapshot.get(key)?.expose_secret().to_owned()));
        ConfigKey::ALL.iter().filter_map(value).collect()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "goes to map_err")]
fn failed(error: Error) -> KSMRError {
    // Its `Display` shows no value.
    KSMRError::StorageError(error.to_string())
}

impl KeyValueStorage for KeyValueAdapter {
    fn read_storage(&self) -> Result<HashMap<ConfigKeys, String>, KSMRError> {
        Ok(self.values())
    }

    fn save_storage(&mut self, config: HashMap<ConfigKeys, String>) -> Result<bool, KSMRError> {
        let mut wanted = ConfigDocument::new();
        for (key, value) in config {
            wanted.set(Self::key(&key)?, value);
        }
        let save = move |stored: &mut ConfigDocument| {
            copy(stored, &wanted, ConfigKey::ALL);
            Ok::<_, Error>(())
        };
        self.storage.update(save).map_err(failed)?;
        Ok(true)
    }

    fn get(&self, key: ConfigKeys) -> Result<Option<String>, KSMRError> {
        let value = self.storage.get(Self::key(&key)?);
        Ok(value.map(|value| value.expose_secret().to_owned()))
    }

    fn set(&mut self, key: ConfigKeys, value: String) -> Result<HashMap<ConfigKeys, String>, KSMRError> {
        self.storage.set(Self::key(&key)?, value).map_err(failed)?;
        Ok(self.values())
    }

    fn delete(&mut self, key: ConfigKeys) -> Result<HashMap<ConfigKeys, String>, KSMRError> {
        self.storage.delete(Self::key(&key)?).map_err(failed)?;
        Ok(self.values())
    }

    fn delete_all(&mut self) -> Result<HashMap<ConfigKeys, String>, KSMRError> {
        self.storage.delete_all().map_err(failed)?;
        Ok(self.values())
    }

    fn contains(&self, key: ConfigKeys) -> Result<bool, KSMRError> {
        Ok(self.storage.contains(Self::key(&key)?))
    }

    /// Does nothing: an opened storage exists.
    fn create_config_file_if_missing(&self) -> Result<(), KSMRError> {
        Ok(())
    }

    fn is_empty(&self) -> Result<bool, KSMRError> {
        Ok(self.storage.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use keeper_secrets_manager_core::InMemoryKeyValueStorage;
    use ksm_storage_memory::MemoryBackend;

    use super::*;

    /// Uses the trait as generic code does.
    fn used(config: &mut impl KeyValueStorage) -> Result<Vec<String>, KSMRError> {
        let sorted = |values: HashMap<ConfigKeys, String>| {
            let mut values: Vec<_> =
                values.into_iter().map(|(key, value)| format!("{}={value}", key.value())).collect();
            values.sort();
            values.join(" ")
        };
        let (id, host) = (ConfigKeys::KeyClientId, ConfigKeys::KeyHostname);
        config.create_config_file_if_missing()?;
        let saved = HashMap::from([(id.clone(), "saved".to_owned()), (host.clone(), "h".to_owned())]);
        Ok(vec![
            config.is_empty()?.to_string(),
            format!("{:?}", config.get(id.clone())?),
            sorted(config.set(id.clone(), "one".to_owned())?),
            format!("{:?}", config.get(id.clone())?),
            config.contains(id.clone())?.to_string(),
            config.save_storage(saved)?.to_string(),
            sorted(config.read_storage()?),
            sorted(config.delete(host)?),
            sorted(config.delete_all()?),
            config.is_empty()?.to_string(),
        ])
    }

    #[test]
    fn adapter_behaves_as_sdk_storage() {
        let storage = ConfigStorage::open(MemoryBackend::from_config("{}")).unwrap();
        let ours = used(&mut KeyValueAdapter::new(storage)).unwrap();
        assert_eq!(ours, used(&mut InMemoryKeyValueStorage::new(None).unwrap()).unwrap());
    }

    #[test]
    fn a_refused_write_is_an_error() {
        let opening =
            ksm_storage_core::ConfigStorage::builder(MemoryBackend::from_config("{}")).read_only().open();
        let mut config = KeyValueAdapter::new(ConfigStorage::open_with(opening).unwrap());
        let error = config.set(ConfigKeys::KeyClientId, "s3cret".to_owned()).unwrap_err();
        assert!(error.to_string().contains("read-only") && !error.to_string().contains("s3cret"), "{error}");
    }
}
