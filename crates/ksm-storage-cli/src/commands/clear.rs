//! `clear`: removes the configuration.

use serde_json::json;

use super::confirm::confirm;
use crate::{
    cli::{Clear, Global},
    failure::Result,
    output::Output,
    storage::{self, Access},
};

pub(crate) async fn run(args: &Clear, global: &Global, output: Output) -> Result<()> {
    let opened = storage::open_writable(global, Access::Remove).await?;
    let writer = opened.announce(output).await;
    let storage = opened.storage;
    let (before, location) = (storage.snapshot(), storage.location());
    if !before.document().is_empty() {
        if !args.yes {
            let count = before.document().names().count();
            confirm(
                output,
                "clear",
                &format!("Remove all {count} keys of {location} ({})?", before.bind_state().as_str()),
            )?;
        }
        storage.delete_all().await?;
    }
    let after = storage.snapshot();
    let written = after.version() != before.version();
    let json = json!({
        "location": location.to_string(),
        "version": after.version().to_string(),
        "written": written,
    });
    let text = if written {
        format!(
            "cleared: {location}, version {}; remove the client from its application in Keeper, too\n",
            after.version()
        )
    } else {
        format!("already empty, so nothing was written: {location}\n")
    };
    output.written(&writer, json, &text)
}
