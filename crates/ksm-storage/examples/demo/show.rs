//! The output of the demo.

use std::{
    error::Error,
    io::{IsTerminal, stdout},
};

use ksm_storage::{
    ConfigKey, ConfigStorage, ExposeSecret,
    keeper::{KeeperClient, sdk::Record},
};

/// A step of the demo, in bold on a terminal.
pub(crate) fn step(title: &str) {
    if stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        println!("\n\x1b[1m{title}\x1b[0m");
    } else {
        println!("\n{title}");
    }
}

/// The stored document: the names of the keys and the lengths of their values.
pub(crate) fn stored(storage: &ConfigStorage) {
    let snapshot = storage.snapshot();
    println!("  stored: {:?}", snapshot.bind_state());
    for &key in ConfigKey::ALL {
        if let Some(value) = snapshot.get(key) {
            println!("    {:<18}{:>4} characters", key.as_str(), value.expose_secret().len());
        }
    }
}

/// The records that the application may read: titles, and passwords masked.
pub(crate) async fn records(client: &KeeperClient) -> Result<(), Box<dyn Error>> {
    let records = client.get_secrets(&[]).await?;
    println!("  records: {}", records.len());
    for record in records {
        let password = if has_password(&record) { "********" } else { "no password" };
        println!("    {:<18}{password}", record.title);
    }
    Ok(())
}

/// Not `record.password`: the SDK leaves that empty (17.3.0).
fn has_password(record: &Record) -> bool {
    record.get_standard_field_value("password", true).is_ok_and(|value| value.is_string())
}
