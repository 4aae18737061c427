//! A Lambda function that loads its secret at the cold start, and reads from memory in each invocation.
//!
//! Deployed as the program `bootstrap` of a function on `provided.al2023`, with the secret's name in `KSM_AWS_SECRET`.
//! To use Keeper's SDK, bind with a token that was created with `--unlock-ip`: otherwise Keeper refuses the client at any
//! address but the one that bound it. The program runs only on Lambda; `tests/examples.rs` runs it on an emulator of the
//! runtime API.

use std::time::Duration;

use ksm_storage::{ConfigKey, ConfigStorage, aws::AwsSecretStorage};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    // An error here ends the cold start, and appears in the function's log.
    let storage = AwsSecretStorage::from_default_config("")
        .read_only()
        // Lambda ends a cold start after 10 s, before this program could report an error. This deadline is shorter, and
        // leaves time for two requests, and usually for three. The credentials are in variables and need no request.
        .attempt_timeout(Duration::from_secs(2))
        .deadline(Duration::from_secs(8))
        .open()
        .await?;
    // With Keeper's SDK, call `KeeperClient::open(storage)` here, and its asynchronous methods in the handler.
    let storage = &storage;
    lambda_runtime::run(service_fn(|event| async move { answer(storage, &event) })).await
}

fn answer(storage: &ConfigStorage, _event: &LambdaEvent<Value>) -> Result<Value, Error> {
    let hostname = storage.get(ConfigKey::Hostname).ok_or("the configuration has no hostname")?;
    Ok(json!({ "hostname": hostname.expose_secret() }))
}
