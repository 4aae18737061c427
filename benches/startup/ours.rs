//! From process start to an open storage.

use ksm_storage::{ConfigKey, Error, aws::AwsSecretStorage};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let storage = AwsSecretStorage::from_default_config("ksm-config").open().await?;
    if storage.get(ConfigKey::Hostname).is_none() {
        return Err(Error::refused("the secret holds no configuration"));
    }
    Ok(())
}
