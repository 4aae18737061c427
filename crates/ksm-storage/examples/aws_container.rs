//! A service in a container, on ECS, Fargate or EKS: the role of the task or of the service account, and a health check.
//!
//! ```text
//! cargo run --features aws --example aws_container -- [SECRET [ENDPOINT_URL]]
//! ```
//!
//! The platform names the role in variables: `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` on ECS and Fargate,
//! `AWS_CONTAINER_CREDENTIALS_FULL_URI` with pod identity, `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN` with web
//! identity. The region is that of `AWS_REGION`, or of SECRET if that is an ARN.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "an example shows what it does")]

use ksm_storage::{BindState, ConfigKey, ConfigStorage, Error, aws::AwsSecretStorage};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let secret = args.next().unwrap_or_default();
    if secret.starts_with('-') {
        eprintln!("usage: aws_container [SECRET [ENDPOINT_URL]]");
        std::process::exit(2);
    }
    let mut storage = AwsSecretStorage::from_default_config(secret).read_only();
    if let Some(endpoint) = args.next() {
        storage = storage.endpoint_url(endpoint);
    }
    let storage = storage.open().await?;

    println!("health: {}", health(&storage).await);
    let hostname = storage.get(ConfigKey::Hostname);
    println!("hostname {}", hostname.as_ref().map_or("not set", |value| value.expose_secret()));
    Ok(())
}

/// What the service's health endpoint says. It reads the secret, so ask once a minute, not once a second.
async fn health(storage: &ConfigStorage) -> &'static str {
    match storage.refresh().await.map(|snapshot| snapshot.bind_state()) {
        Ok(BindState::Bound) => "ready",
        Ok(_) => "waiting until somebody binds the configuration",
        // Reads go on from memory. A restart would find no store at all.
        Err(error) if error.is_retryable() => "ready, with what was read before",
        Err(_) => "failed: the secret is gone, or no longer ours to read",
    }
}
