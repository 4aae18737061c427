//! The demo on a real secret. It never deletes, and binds only what is not bound.

use std::{
    error::Error,
    io::{IsTerminal, stdin},
};

use ksm_storage::{BindState, aws::AwsSecretStorage, keeper::KeeperClient};

use crate::{
    first_start, later_start,
    show::{records, step, stored},
};

pub(crate) async fn run(
    key: &str,
    profile: Option<&str>,
    region: Option<&str>,
) -> Result<(), Box<dyn Error>> {
    let mut aws = match profile {
        Some(profile) => AwsSecretStorage::from_profile_config(key, profile),
        None => AwsSecretStorage::from_default_config(key),
    };
    if let Some(region) = region {
        aws = aws.region(region);
    }
    let storage = aws.open().await?;
    println!("AWS Secrets Manager: {}", storage.location());

    if storage.bind_state() != BindState::Bound {
        step("It is not bound yet");
        println!(
            "  Two new versions will be written to {}: a key pair, then the application's key.",
            storage.location()
        );
        println!("  Nothing is deleted.");
        let client = first_start(KeeperClient::builder(), storage, token()?.into()).await?;
        stored(client.storage());
        records(&client).await?;
        println!("\nRun it again: it starts without a token.");
        return Ok(());
    }
    step("It is bound: no token is needed, and nothing will be written");
    stored(&storage);
    records(&later_start(KeeperClient::builder(), storage).await?).await
}

fn token() -> Result<String, Box<dyn Error>> {
    if let Some(token) = std::env::var("KSM_TOKEN").ok().filter(|token| !token.is_empty()) {
        return Ok(token);
    }
    if stdin().is_terminal() {
        eprint!("One-time token: ");
    }
    let mut line = String::new();
    stdin().read_line(&mut line)?;
    let token = line.trim();
    if token.is_empty() {
        return Err("no one-time token: set KSM_TOKEN, or give it on standard input".into());
    }
    Ok(token.to_owned())
}
