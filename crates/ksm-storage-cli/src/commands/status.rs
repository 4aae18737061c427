//! `status`: shows names and lengths, never a value.

use std::fmt::Write;

use ksm_storage::{BindState, ConfigKey, ExposeSecret, Snapshot};
use serde_json::{Value, json};

use crate::{
    cli::Global,
    failure::Result,
    output::Output,
    state,
    storage::{self, Access},
};

pub(crate) async fn run(global: &Global, output: Output) -> Result<()> {
    let storage = storage::open(global, Access::Read).await?;
    let (snapshot, location) = (storage.snapshot(), storage.location());
    let (bind_state, unknown) = (snapshot.bind_state(), snapshot.document().unknown_keys());
    let keys: Vec<_> = lengths(&snapshot);

    let mut text = format!("{}  {location}\n", output.bold("location"));
    let _ = writeln!(text, "{}   {}", output.bold("version"), snapshot.version());
    let _ = writeln!(text, "{}     {}", output.bold("state"), describe(bind_state));
    for (key, length) in &keys {
        let _ = writeln!(text, "  {:<18} {length:>5} bytes", key.as_str());
    }
    if unknown > 0 {
        let _ = writeln!(text, "  and {unknown} unknown");
    }
    let keys: Vec<_> =
        keys.iter().map(|(key, length)| json!({ "name": key.as_str(), "length": length })).collect();
    let invalid =
        if let BindState::Invalid(key) = bind_state { Value::from(key.as_str()) } else { Value::Null };
    let json = json!({
        "location": location.to_string(),
        "version": snapshot.version().to_string(),
        "bind_state": bind_state.as_str(),
        "invalid_key": invalid,
        "keys": keys,
        "unknown_keys": unknown,
    });
    output.result(&json, &text)
}

fn lengths(snapshot: &Snapshot) -> Vec<(ConfigKey, usize)> {
    let length = |key| Some((key, snapshot.get(key)?.expose_secret().len()));
    ConfigKey::ALL.iter().copied().filter_map(length).collect()
}

/// The state with its remedy.
fn describe(state: BindState) -> String {
    match state::remedy(state) {
        None => "bound".to_owned(),
        Some(remedy) => format!("{}; {remedy}", state::problem(state)),
    }
}
