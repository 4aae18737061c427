//! The Keeper SDK with its configuration in one AWS secret, from the first start to the end.
//!
//! Without arguments it runs on an emulator of AWS and a fake Keeper within this process. With `--aws-key` it works on
//! a real secret: it then never deletes anything, and binds only what is not bound yet.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it does")]

mod local;
mod real;
mod show;

use std::process::ExitCode;

use clap::Parser;
use ksm_storage::{
    ConfigStorage, SecretString,
    keeper::{KeeperClient, KeeperClientBuilder},
};

/// Keeps a Keeper client's configuration in AWS Secrets Manager, end to end.
///
/// Without arguments, on an emulator of AWS and a fake Keeper within this process.
#[derive(Parser)]
#[command(name = "demo", bin_name = "cargo xtask demo")]
struct Args {
    /// A real secret to use: name or ARN. It must exist and hold at least {}. The one-time token
    /// is taken from the variable `KSM_TOKEN`, else from standard input, and only if the secret is not bound yet.
    /// Unless it was made with `--unlock-ip`, Keeper locks the client to the address of this machine
    #[arg(long, value_name = "SECRET")]
    aws_key: Option<String>,
    /// The AWS profile to use it with, instead of the default credentials
    #[arg(long, requires = "aws_key")]
    profile: Option<String>,
    /// Its region, if neither the secret's name nor the profile says
    #[arg(long, requires = "aws_key")]
    region: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.aws_key {
        Some(key) => real::run(key, args.profile.as_deref(), args.region.as_deref()).await,
        None => local::run().await,
    };
    let Err(error) = done else { return ExitCode::SUCCESS };
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

/// The first start: binds what is stored with the token. This and the next function are what a program needs.
async fn first_start(
    keeper: KeeperClientBuilder,
    storage: ConfigStorage,
    token: SecretString,
) -> Result<KeeperClient, ksm_storage::keeper::Error> {
    keeper.token(token).open(storage).await
}

/// Every later start: what is stored is all it takes.
async fn later_start(
    keeper: KeeperClientBuilder,
    storage: ConfigStorage,
) -> Result<KeeperClient, ksm_storage::keeper::Error> {
    keeper.open(storage).await
}
