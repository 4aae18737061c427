//! A Lambda function that reads its secret at the cold start, and from memory in each invocation.
//!
//! Deployed as the program `bootstrap` of a function on `provided.al2023`, with the secret's name in `KSM_AWS_SECRET`.
//! To use Keeper's SDK, bind with a token that was made with `--unlock-ip`: Keeper refuses a client at another address than
//! the one that bound it. Without Lambda it does not run; `tests/examples.rs` runs it on an emulator of the runtime API.

use std::time::Duration;

use ksm_storage::{ConfigKey, ConfigStorage, aws::AwsSecretStorage};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    // An error here ends the cold start, and Lambda shows it in the function's log.
    let storage = AwsSecretStorage::from_default_config("")
        .read_only()
        // A cold start may take 10 s, then Lambda ends it without a word of ours. So the error comes before that, and
        // before it there is time for two requests, and mostly for three. The credentials are in variables, and take none.
        .attempt_timeout(Duration::from_secs(2))
        .deadline(Duration::from_secs(8))
        .open()
        .await?;
    // With Keeper's SDK: `KeeperClient::open(storage)` here, and its calls, which are asynchronous, in the handler.
    let storage = &storage;
    lambda_runtime::run(service_fn(|event| async move { answer(storage, &event) })).await
}

fn answer(storage: &ConfigStorage, _event: &LambdaEvent<Value>) -> Result<Value, Error> {
    let hostname = storage.get(ConfigKey::Hostname).ok_or("the configuration has no hostname")?;
    Ok(json!({ "hostname": hostname.expose_secret() }))
}
