//! Opens a configuration, reads it and changes it: `cargo run --example quick_start`.
#![allow(clippy::expect_used, clippy::print_stderr, clippy::print_stdout, reason = "it is an example")]

use std::process::ExitCode;

use ksm_storage::{ConfigKey, ConfigStorage, Error, memory::MemoryBackend};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Err(error) = run().await else { return ExitCode::SUCCESS };
    // `Display` is one line that includes the remedy. If `main` returned the error, its `Debug` would be printed.
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

async fn run() -> Result<(), Error> {
    let backend = MemoryBackend::from_config(r#"{"hostname": "keepersecurity.com"}"#);
    let storage = ConfigStorage::open(backend.clone()).await?;
    println!("opened   {}: {:?}", storage.location(), storage.bind_state());

    storage.set(ConfigKey::ClientKey, "one-time").await?;
    storage
        .update(|document| {
            document.remove(ConfigKey::ClientKey);
            document.set(ConfigKey::ClientId, "id");
            document.set(ConfigKey::PrivateKey, "private");
            document.set(ConfigKey::AppKey, "application");
            Ok::<_, Error>(())
        })
        .await?;
    println!("bound    version {}: {:?}", storage.snapshot().version(), storage.bind_state());

    // A save is refused if its base is out of date: another handle, perhaps in another process, has written since.
    let other = ConfigStorage::open(backend).await?;
    let base = other.snapshot();
    storage.set(ConfigKey::Hostname, "keepersecurity.eu").await?;
    let refused = other.save(&base, base.document().clone()).await;
    println!("refused  {}", refused.expect_err("the base is out of date"));

    println!("whole    {:?}", storage.snapshot().document());
    Ok(())
}
