//! From the start to an opened storage, in the mode that is named: `default`, `custom` or `ec2`.

use ksm_storage::{ConfigKey, Error, aws::AwsSecretStorage};

mod peak;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let storage = match std::env::args().nth(1).as_deref() {
        Some("ec2") => AwsSecretStorage::from_ec2_instance_config("ksm-config"),
        Some("custom") => AwsSecretStorage::from_custom_config("ksm-config", "AKIA", "key", "us-east-1"),
        _ => AwsSecretStorage::from_default_config("ksm-config"),
    };
    let storage = storage.open().await?;
    if storage.get(ConfigKey::Hostname).is_none() {
        return Err(Error::refused("the secret holds no configuration"));
    }
    peak::report();
    Ok(())
}
