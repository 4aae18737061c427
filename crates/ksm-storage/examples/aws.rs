//! Opens a secret of AWS Secrets Manager in any of the modes, and reads from it.
//!
//! ```text
//! cargo run --features aws,testing --example aws -- ec2
//! cargo run --features aws,testing --example aws -- profile work --secret team/ksm
//! cargo run --features aws,testing --example aws -- --help
//! ```
//!
//! In a container the platform names the role in variables: `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` on ECS and Fargate,
//! `AWS_CONTAINER_CREDENTIALS_FULL_URI` with pod identity, `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN` with web
//! identity. The region is that of the secret if it is given as an ARN, or else that of `AWS_REGION`.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "an example shows what it does")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ksm_storage::{BindState, ConfigKey, ConfigStorage, Error, aws::AwsSecretStorage};

/// Opens a secret of AWS Secrets Manager, and reads from it.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    mode: Mode,
    /// Name, ARN or `aws-sm://REGION/NAME`; if empty, the value of `KSM_AWS_SECRET`, else `ksm-config`
    #[arg(long, global = true, default_value = "")]
    secret: String,
    /// Custom endpoint of Secrets Manager, such as that of an emulator
    #[arg(long, global = true, value_name = "URL")]
    endpoint_url: Option<String>,
}

/// Source of credentials and region.
#[derive(Subcommand)]
enum Mode {
    /// The role and the region of the EC2 instance
    Ec2,
    /// The default chain: on Lambda, in CI, on a workstation
    Default,
    /// A profile of the AWS configuration files
    Profile { name: String },
    /// Credentials given on the command line
    Custom { access_key_id: String, secret_access_key: String, region: String },
    /// The role of an ECS task or a Kubernetes service account, with a health check
    Container,
    /// An `SdkConfig` whose connections and credentials several clients share
    SdkConfig,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Exits with status 2 if an argument is invalid.
    let Err(error) = run(Args::parse()).await else { return ExitCode::SUCCESS };
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

async fn run(Args { mode, secret, endpoint_url }: Args) -> Result<(), Error> {
    let is_container = matches!(mode, Mode::Container);
    let mut storage = match mode {
        Mode::Ec2 => AwsSecretStorage::from_ec2_instance_config(secret),
        Mode::Default => AwsSecretStorage::from_default_config(secret),
        Mode::Profile { name } => AwsSecretStorage::from_profile_config(secret, name),
        Mode::Custom { access_key_id, secret_access_key, region } => {
            AwsSecretStorage::from_custom_config(secret, access_key_id, secret_access_key, region)
        }
        Mode::Container => AwsSecretStorage::from_default_config(secret).read_only(),
        Mode::SdkConfig => {
            let config = aws_config::load_defaults(aws_config::BehaviorVersion::v2026_01_12()).await;
            AwsSecretStorage::from_sdk_config(secret, &config)
        }
    };
    if let Some(url) = endpoint_url {
        storage = storage.endpoint_url(url);
    }

    let storage = storage.open().await?;

    if is_container {
        println!("health: {}", health(&storage).await);
    }
    let hostname = storage.get(ConfigKey::Hostname);
    let hostname = hostname.as_ref().map_or("not set", |value| value.expose_secret());
    println!("{}: {:?}, hostname {hostname}", storage.location(), storage.bind_state());
    Ok(())
}

/// The answer of a service's health endpoint. It reads the secret, so call it once a minute rather than once a second.
async fn health(storage: &ConfigStorage) -> &'static str {
    match storage.refresh().await.map(|snapshot| snapshot.bind_state()) {
        Ok(BindState::Bound) => "ready",
        Ok(_) => "waiting until somebody binds the configuration",
        // Reads continue from memory. A restart would have no store to read from.
        Err(error) if error.is_retryable() => "ready, with what was read before",
        Err(_) => "failed: the secret is gone, or no longer ours to read",
    }
}
