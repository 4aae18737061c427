//! A program that uses Keeper's own SDK: `ksm-storage exec` passes it the configuration in `KSM_CONFIG`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use ksm_storage::keeper::sdk::{
    core::{ClientOptions, SecretsManager},
    custom_error::KSMRError,
    enums::KvStoreType,
};

fn main() -> Result<(), KSMRError> {
    let options = ClientOptions::new_client_options(KvStoreType::None);
    for record in SecretsManager::new(options)?.get_secrets(Vec::new())? {
        println!("record: {}", record.title);
    }
    Ok(())
}
