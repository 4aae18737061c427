//! The output of the program in `benches/reads`.

use std::process::Command;

use serde_json::Value;

use crate::{Result, samples::Table, target};

/// Nanoseconds of one read, by what is read and the number of threads: `get/2`.
pub(crate) fn measure(quick: bool) -> Result<Table> {
    let rounds = if quick { "5" } else { "40" };
    let program = target()?.join("reads/release/reads");
    let output = Command::new(&program).arg(rounds).env_clear().output();
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    if !output.status.success() {
        return Err(format!("reads failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let mut table = Table::new();
    let printed: Value = serde_json::from_slice(&output.stdout)?;
    for (name, figures) in printed.as_object().ok_or("reads printed no object")? {
        let figures = figures.as_array().into_iter().flatten().filter_map(Value::as_f64);
        table.entry(name.clone()).or_default().0.extend(figures);
    }
    Ok(table)
}
