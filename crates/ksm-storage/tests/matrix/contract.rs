//! The suite covers the contract, and the documentation describes the suite.

use std::{fmt::Write, fs, path::PathBuf};

use ksm_storage_testkit::{Clause, Level, cases};
use libtest_mimic::{Failed, Trial};

use crate::faulty::Fault;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("contract::cases_have_faulty_implementations", cases_have_faulty_implementations),
        Trial::test("contract::document_lists_clauses", document_lists_clauses),
        #[cfg(all(feature = "file", feature = "memory", feature = "testing", feature = "aws-minimal"))]
        Trial::test("contract::reference_states_capabilities", capabilities::reference_states_capabilities),
    ]
}

/// Every clause has a faulty implementation at each level at which it has cases.
fn cases_have_faulty_implementations() -> Result<(), Failed> {
    let faults = Fault::all();
    for case in cases() {
        let (name, clause, level) = (case.name(), case.clause(), case.level());
        if !faults.iter().any(|fault| (fault.clause(), fault.level()) == (clause, level)) {
            return Err(format!("no faulty implementation shows that {name} can fail").into());
        }
        if !name.starts_with(&format!("c{:0>2}_", &clause.to_string()[1..])) {
            return Err(format!("{name} does not begin with its clause, {clause}").into());
        }
    }
    Ok(())
}

fn document_lists_clauses() -> Result<(), Failed> {
    let mut table = String::from(
        "| clause | | cases of backends | cases of core | faulty backends | faulty cores |\n|---|---|--:|--:|--:|--:|\n",
    );
    let (cases, faults) = (cases(), Fault::all());
    for &clause in Clause::ALL {
        let cases =
            |level| cases.iter().filter(|case| (case.clause(), case.level()) == (clause, level)).count();
        let faults =
            |level| faults.iter().filter(|fault| (fault.clause(), fault.level()) == (clause, level)).count();
        let [backend, core] = [Level::Backend, Level::Core];
        let (title, cases_of_backends, cases_of_core) = (clause.title(), cases(backend), cases(core));
        let (backends, cores) = (faults(backend), faults(core));
        let _ = writeln!(
            table,
            "| {clause} | {title} | {cases_of_backends} | {cases_of_core} | {backends} | {cores} |"
        );
    }
    states("docs/conformance.md", &table)
}

/// Fails unless `document` contains `text`.
fn states(document: &str, text: &str) -> Result<(), Failed> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../..", document].iter().collect();
    let found = fs::read_to_string(path)?.contains(text);
    if found { Ok(()) } else { Err(format!("{document} does not contain:\n{text}").into()) }
}

#[cfg(all(feature = "file", feature = "memory", feature = "testing", feature = "aws-minimal"))]
mod capabilities {
    use std::fmt::Write;

    use ksm_storage::{ConfigDocument, Writes};
    use libtest_mimic::Failed;

    use super::states;
    use crate::backends;

    pub(super) fn reference_states_capabilities() -> Result<(), Failed> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut table = String::new();
        for backend in backends::all().iter().filter(|backend| backend.is_fast) {
            let fixture = backend.fixture()?;
            let capabilities = runtime.block_on(async { fixture.fresh().await.open().await.capabilities() });
            let writes = match capabilities.writes {
                Writes::Exact => "always, before its own",
                Writes::Cooperative => "before its own, or by a check after it",
                Writes::Unconditional => "no: writes are refused",
                Writes::ReadOnly => "read-only",
            };
            // Core rejects larger documents, whatever the backend accepts.
            let largest = capabilities.max_payload.unwrap_or(usize::MAX).min(ConfigDocument::MAX_LEN);
            let fresh = if capabilities.fresh_reads { "yes" } else { "no" };
            let name = backend.name.replace("-emulator", "");
            let _ = writeln!(table, "| {name} | {writes} | {largest} bytes | {fresh} |");
        }
        states("docs/reference.md", &table)
    }
}
