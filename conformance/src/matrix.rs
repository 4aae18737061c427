//! Backends and clauses, as tables in Markdown.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use ksm_storage_core::{Capabilities, ConfigDocument, Writes};
use ksm_storage_testkit::{Clause, Fixture, Mode, broken::Fault};
use serde_json::{Value, json};

use crate::report::{Row, Verdict};

/// What became of the cases of one clause on one backend.
#[derive(Clone, Copy, Default)]
struct Cell {
    passed: usize,
    left_out: usize,
    failed: usize,
}

/// The backends in the order of `rows`, each with its clauses.
fn cells(rows: &[Row]) -> Vec<(&str, BTreeMap<Clause, Cell>)> {
    let mut backends: Vec<(&str, BTreeMap<Clause, Cell>)> = Vec::new();
    for row in rows {
        let known = backends.iter().position(|(name, _)| *name == row.backend);
        let index = known.unwrap_or_else(|| {
            backends.push((&row.backend, BTreeMap::new()));
            backends.len() - 1
        });
        let cell = backends[index].1.entry(row.clause).or_default();
        match row.verdict {
            Verdict::Good => cell.passed += 1,
            Verdict::Excluded(_) | Verdict::NotRun(_) => cell.left_out += 1,
            Verdict::Failed(_) => cell.failed += 1,
        }
    }
    backends
}

/// Backends and clauses, with the number of cases passed.
pub(crate) fn matrix(rows: &[Row]) -> String {
    let mut text = String::from("| backend |");
    for clause in Clause::ALL {
        let _ = write!(text, " {clause} |");
    }
    text += " cases |\n|---|";
    text += &"--:|".repeat(Clause::ALL.len() + 1);
    text.push('\n');
    for (backend, cells) in cells(rows) {
        let _ = write!(text, "| {backend} |");
        for clause in Clause::ALL {
            let _ = match cells.get(clause) {
                None => write!(text, " |"),
                Some(Cell { passed, left_out: 0, failed: 0 }) => write!(text, " {passed} |"),
                Some(Cell { passed, left_out, failed: 0 }) => {
                    write!(text, " {passed} of {} |", passed + left_out)
                }
                Some(Cell { failed, .. }) => write!(text, " **{failed} failed** |"),
            };
        }
        let passed: usize = cells.values().map(|cell| cell.passed).sum();
        let _ = writeln!(text, " {passed} |");
    }
    text
}

/// The same, in JSON.
pub(crate) fn json(rows: &[Row]) -> Value {
    let backends = cells(rows).into_iter().map(|(backend, cells)| {
        let clauses = cells.into_iter().map(|(clause, Cell { passed, left_out, failed })| {
            let cell = json!({ "passed": passed, "left out": left_out, "failed": failed });
            (clause.to_string(), cell)
        });
        (backend.to_owned(), clauses.collect::<Value>())
    });
    backends.collect()
}

/// What the backends say of themselves.
pub(crate) fn capabilities(backends: &[(String, Arc<dyn Fixture>)]) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let mut text = String::from(
        "| backend | sees foreign writes | largest document | reads are fresh |\n|---|---|--:|---|\n",
    );
    for (name, fixture) in backends {
        let capabilities = runtime.block_on(async { fixture.fresh().await.open().await.capabilities() });
        let _ = writeln!(text, "| {name} | {}", row(&capabilities));
    }
    Ok(text)
}

fn row(capabilities: &Capabilities) -> String {
    let writes = match capabilities.writes {
        Writes::Exact => "always, before its own",
        Writes::Cooperative => "before its own, or reports what it displaced",
        Writes::Unconditional => "no: writes are refused",
        Writes::ReadOnly => "read-only",
    };
    // Core takes no larger one, whatever the backend does.
    let largest = capabilities.max_payload.unwrap_or(usize::MAX).min(ConfigDocument::MAX_LEN);
    let fresh = if capabilities.fresh_reads { "yes" } else { "no" };
    format!("{writes} | {largest} bytes | {fresh} |")
}

/// A fault, whether a case of its clause caught it, and in what random programs found it, if they are to.
struct Proof {
    fault: Fault,
    caught: bool,
    found: Option<(Mode, bool)>,
}

fn proofs(rows: &[Row]) -> impl Iterator<Item = Proof> {
    Fault::all().into_iter().map(|fault| {
        let good = |by: &str| {
            let of = |row: &&Row| row.case == fault.to_string() && row.backend == by;
            rows.iter().filter(of).any(|row| matches!(row.verdict, Verdict::Good))
        };
        let found = fault.found_by().map(|mode| (mode, good(&mode.to_string())));
        Proof { fault, caught: good(BY_CASES), found }
    })
}

/// What stands in place of a backend's name where cases look for faults; where random programs do, it is their mode.
pub(crate) const BY_CASES: &str = "cases";

/// The subjects that are wrong on purpose.
pub(crate) fn broken(rows: &[Row]) -> String {
    let mut text = String::from(
        "| clause | wrong on purpose | caught by its clause | found by random programs |\n|---|---|---|---|\n",
    );
    for Proof { fault, caught, found } in proofs(rows) {
        let caught = if caught { "yes" } else { "**no**" };
        let found = match found {
            None => String::new(),
            Some((mode, true)) => mode.to_string(),
            Some((_, false)) => "**no**".to_owned(),
        };
        let _ = writeln!(text, "| {} | {fault} | {caught} | {found} |", fault.clause());
    }
    text
}

/// The same, in JSON.
pub(crate) fn broken_json(rows: &[Row]) -> Value {
    let fault = |Proof { fault, caught, found }| {
        let found = found.map(|(mode, found)| json!({ "against": mode.to_string(), "found": found }));
        json!({
            "clause": fault.clause().to_string(), "fault": fault.to_string(), "caught": caught,
            "random programs": found,
        })
    };
    proofs(rows).map(fault).collect()
}
