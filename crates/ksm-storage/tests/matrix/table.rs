//! The results of backends and clauses as a Markdown table.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, Mutex, PoisonError},
};

use ksm_storage_testkit::{Case, Clause, Failure, Report};

use crate::backends::Backend;

/// The result of one case on one backend.
#[derive(Clone, Copy)]
pub(crate) enum Verdict {
    Passed,
    Failed,
    /// Excluded, or not run because the backend is not available.
    LeftOut,
}

/// The results of the cases of one clause on one backend.
#[derive(Clone, Copy, Default)]
struct Cell {
    passed: usize,
    failed: usize,
    left_out: usize,
}

/// All results.
#[derive(Default)]
pub(crate) struct Table {
    cells: Mutex<BTreeMap<(&'static str, Clause), Cell>>,
    failures: Mutex<BTreeMap<&'static str, Vec<(Case, Failure)>>>,
}

impl Table {
    pub(crate) fn add(&self, backend: &'static str, clause: Clause, verdict: Verdict) {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = cells.entry((backend, clause)).or_default();
        *match verdict {
            Verdict::Passed => &mut cell.passed,
            Verdict::Failed => &mut cell.failed,
            Verdict::LeftOut => &mut cell.left_out,
        } += 1;
    }

    pub(crate) fn add_failure(&self, backend: &'static str, case: Case, failure: Failure) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.entry(backend).or_default().push((case, failure));
    }

    /// Prints the number of passed cases by backend and clause and, for each backend, the failure to look into first.
    /// Prints nothing if no case ran.
    pub(crate) fn print(&self, backends: &[Arc<Backend>]) {
        let cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        if cells.is_empty() {
            return;
        }
        let mut text = String::from("| backend |");
        for clause in Clause::ALL {
            let _ = write!(text, " {clause} |");
        }
        let _ = writeln!(text, " cases |\n|---|{}", "--:|".repeat(Clause::ALL.len() + 1));
        for Backend { name, .. } in backends.iter().map(AsRef::as_ref) {
            let row = || Clause::ALL.iter().map(|clause| cells.get(&(*name, *clause)));
            if row().all(|cell| cell.is_none()) {
                continue;
            }
            let _ = write!(text, "| {name} |");
            for cell in row() {
                let _ = match cell {
                    None => write!(text, " |"),
                    Some(Cell { passed, failed: 0, left_out: 0 }) => write!(text, " {passed} |"),
                    Some(Cell { passed, failed: 0, left_out }) => {
                        write!(text, " {passed} of {} |", passed + left_out)
                    }
                    Some(Cell { failed, .. }) => write!(text, " **{failed} failed** |"),
                };
            }
            let passed: usize = row().flatten().map(|cell| cell.passed).sum();
            let _ = writeln!(text, " {passed} |");
        }
        println!("{text}");
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for (backend, failures) in std::mem::take(&mut *failures) {
            let report = Report(failures.into_iter().map(|(case, failure)| (case, Err(failure))).collect());
            if let Some((_, failure)) = report.start_here() {
                println!("{backend}: start here: {failure}\n");
            }
        }
    }
}
