//! Backends and clauses, as tables in Markdown.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use ksm_storage_core::{Capabilities, Writes};
use ksm_storage_testkit::{Clause, Fixture, broken::Fault};

use crate::report::{Row, Verdict};

/// What each backend of the table can do, in the order of `rows`.
pub(crate) fn matrix(rows: &[Row]) -> String {
    let mut text = String::from("| backend |");
    for clause in Clause::ALL {
        let _ = write!(text, " {clause} |");
    }
    text += " cases |\n|---|";
    text += &"--:|".repeat(Clause::ALL.len() + 1);
    text.push('\n');
    let mut backends: Vec<&str> = Vec::new();
    for row in rows {
        if !backends.contains(&&*row.backend) {
            backends.push(&row.backend);
        }
    }
    for backend in backends {
        let own: Vec<_> = rows.iter().filter(|row| row.backend == backend).collect();
        let mut cells: BTreeMap<Clause, [usize; 3]> = BTreeMap::new();
        for row in &own {
            let kind = match row.verdict {
                Verdict::Good => 0,
                Verdict::Excluded(_) | Verdict::NotRun(_) => 1,
                Verdict::Failed(_) => 2,
            };
            cells.entry(row.clause).or_default()[kind] += 1;
        }
        let _ = write!(text, "| {backend} |");
        for clause in Clause::ALL {
            let _ = match cells.get(clause) {
                None => write!(text, " |"),
                Some(&[good, 0, 0]) => write!(text, " {good} |"),
                Some(&[good, left_out, 0]) => write!(text, " {good} of {} |", good + left_out),
                Some(&[_, _, failed]) => write!(text, " **{failed} failed** |"),
            };
        }
        let good = own.iter().filter(|row| matches!(row.verdict, Verdict::Good)).count();
        let _ = writeln!(text, " {good} |");
    }
    text
}

/// What the backends say of themselves.
pub(crate) fn capabilities(backends: &[(&str, Arc<dyn Fixture>)]) -> Result<String, String> {
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
    let largest = capabilities.max_payload.map_or("1 MiB".to_owned(), |bytes| format!("{bytes} bytes"));
    let fresh = if capabilities.fresh_reads { "yes" } else { "no" };
    format!("{writes} | {largest} | {fresh} |")
}

/// The subjects that are wrong on purpose, by clause.
pub(crate) fn broken(rows: &[Row]) -> String {
    let mut text = String::from(
        "| clause | wrong on purpose | caught by its clause | found by random programs |\n|---|---|---|---|\n",
    );
    for fault in Fault::all() {
        let title = fault.to_string();
        let caught = rows.iter().any(|row| row.case == title && matches!(row.verdict, Verdict::Good));
        let word = if caught { "yes" } else { "**no**" };
        let mode = fault.found_by().map(|mode| mode.to_string()).unwrap_or_default();
        let _ = writeln!(text, "| {} | {title} | {word} | {mode} |", fault.clause());
    }
    text
}
