//! The output of the program in `benches/reads`.

use std::{collections::BTreeMap, process::Command};

use crate::{
    Result,
    samples::{Samples, Table},
    target,
};

/// Nanoseconds of one read, by what is read and the number of threads: `get/2`.
pub(crate) fn measure(quick: bool) -> Result<Table> {
    let rounds = if quick { "5" } else { "40" };
    let program = target()?.join("reads/release/reads");
    let output = Command::new(&program).arg(rounds).env_clear().output();
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    if !output.status.success() {
        return Err(format!("reads failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let printed: BTreeMap<String, Vec<f64>> = serde_json::from_slice(&output.stdout)?;
    Ok(printed.into_iter().map(|(name, figures)| (name, Samples(figures))).collect())
}
