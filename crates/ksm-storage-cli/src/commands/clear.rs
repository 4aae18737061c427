//! `clear`: the end of a configuration.

use std::io::{self, BufRead, IsTerminal};

use serde_json::json;

use super::status::describe;
use crate::{
    cli::{Clear, Global},
    failure::{Failure, Result},
    output::Output,
    storage::{self, Access},
};

pub(crate) async fn run(args: &Clear, global: &Global, output: Output) -> Result<()> {
    let storage = storage::open(global, Access::Remove).await?;
    let (before, location) = (storage.snapshot(), storage.location());
    if !before.document().is_empty() {
        if !args.yes {
            let count = before.document().names().count();
            confirm(&format!("Remove all {count} keys of {location} ({})?", describe(before.bind_state())))?;
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
        format!("empty already, nothing was written: {location}\n")
    };
    output.result(&json, &text)
}

fn confirm(question: &str) -> Result<()> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "clear asks first, and there is no terminal to ask on",
            "confirm with --yes",
        ));
    }
    let asked = io::Write::write_all(&mut io::stderr(), format!("{question} [y/N] ").as_bytes());
    let mut answer = String::new();
    asked
        .and_then(|()| io::stdin().lock().read_line(&mut answer))
        .map_err(|error| Failure::io("cannot ask", &error))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::refused("nothing was removed", "answer y, or confirm with --yes"))
}
