//! From process start to records: the README's quick start.

use std::{error::Error, process::ExitCode};

use ksm_storage::{aws::AwsSecretStorage, keeper::KeeperClient};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Err(error) = run().await else { return ExitCode::SUCCESS };
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

async fn run() -> Result<(), Box<dyn Error>> {
    let storage = AwsSecretStorage::from_default_config("ksm-config").open().await?;
    let token = std::env::var("KSM_TOKEN").unwrap_or_default();
    let keeper = KeeperClient::builder().token(token).open(storage).await?;
    for record in keeper.get_secrets(&[]).await? {
        println!("{}", record.title);
    }
    Ok(())
}
