//! From process start to records, with only Keeper's SDK and its file `ksm.json`.

use keeper_secrets_manager_core::{ClientOptions, FileKeyValueStorage, KSMRError, SecretsManager};

fn main() -> Result<(), KSMRError> {
    let config = FileKeyValueStorage::new_config_storage("ksm.json".to_owned())?;
    let mut manager = SecretsManager::new(ClientOptions::new_client_options(config))?;
    for record in manager.get_secrets(Vec::new())? {
        println!("{}", record.title);
    }
    Ok(())
}
