//! An `SdkConfig` of your own: here one whose connections and credentials several storages share.
//!
//! ```text
//! cargo run --features aws --example aws_sdk_config -- [SECRET [ENDPOINT_URL]]
//! ```

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "an example shows what it does")]

use ksm_storage::{ConfigKey, Error, aws::AwsSecretStorage};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    // Empty: the variable KSM_AWS_SECRET, else `ksm-config`.
    let secret = args.next().unwrap_or_default();
    if secret.starts_with('-') {
        eprintln!("usage: aws_sdk_config [SECRET [ENDPOINT_URL]]");
        std::process::exit(2);
    }
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::v2026_01_12()).await;
    let mut storage = AwsSecretStorage::from_sdk_config(secret, &config);
    if let Some(endpoint) = args.next() {
        storage = storage.endpoint_url(endpoint);
    }

    let storage = storage.open().await?;

    let hostname = storage.get(ConfigKey::Hostname);
    let hostname = hostname.as_ref().map_or("not set", |value| value.expose_secret());
    println!("{}: {:?}, hostname {hostname}", storage.location(), storage.bind_state());
    Ok(())
}
