//! Creates a configuration in a private file: `cargo run --features file --example file`.
#![allow(clippy::print_stdout, reason = "it is an example")]

use ksm_storage::{ConfigKey, ConfigStorage, Error, file::FileBackend};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let path = std::env::temp_dir().join(format!("ksm-storage-example-{}.json", std::process::id()));
    // Creates a missing file with mode 0600, which `open` does not.
    let storage = ConfigStorage::open_or_create(FileBackend::new(&path)).await?;
    storage.set(ConfigKey::Hostname, "keepersecurity.com").await?;
    println!("{storage:?}");
    for left in [&path, &path.with_extension("json.lock")] {
        std::fs::remove_file(left).unwrap_or_else(|error| println!("{}: {error}", left.display()));
    }
    Ok(())
}
