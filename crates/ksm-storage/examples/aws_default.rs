//! On Lambda, ECS, EKS, a workstation or in CI: credentials and region from the default chain.
//!
//! ```text
//! cargo run --features aws --example aws_default -- [SECRET [ENDPOINT_URL]]
//! ```

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "an example shows what it does")]

use ksm_storage::{ConfigKey, Error, aws::AwsSecretStorage};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    // Empty: the variable KSM_AWS_SECRET, else `ksm-config`.
    let secret = args.next().unwrap_or_default();
    if secret.starts_with('-') {
        eprintln!("usage: aws_default [SECRET [ENDPOINT_URL]]");
        std::process::exit(2);
    }

    let mut storage = AwsSecretStorage::from_default_config(secret);
    if let Some(endpoint) = args.next() {
        storage = storage.endpoint_url(endpoint);
    }

    let storage = storage.open().await?;

    let hostname = storage.get(ConfigKey::Hostname);
    let hostname = hostname.as_ref().map_or("not set", |value| value.expose_secret());
    println!("{}: {:?}, hostname {hostname}", storage.location(), storage.bind_state());
    Ok(())
}
