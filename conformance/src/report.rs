//! What came out, as a table or as JSON.

use std::collections::BTreeMap;

use ksm_storage_testkit::Clause;
use serde_json::{Value, json};

/// One case on one subject.
pub(crate) struct Row {
    pub(crate) subject: String,
    pub(crate) clause: Clause,
    pub(crate) case: String,
    /// Why it failed, if it did.
    pub(crate) failure: Option<String>,
    pub(crate) note: String,
}

pub(crate) struct Table {
    rows: Vec<Row>,
    /// What a row is called that did not fail.
    good: &'static str,
}

impl Table {
    pub(crate) fn new(good: &'static str) -> Self {
        Self { rows: Vec::new(), good }
    }

    pub(crate) fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Whether there was something to do, and all of it passed.
    pub(crate) fn passed(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.failure.is_none())
    }

    fn failed(&self) -> usize {
        self.rows.iter().filter(|row| row.failure.is_some()).count()
    }

    pub(crate) fn print(&self, colour: bool) {
        let paint = |text: &str, code: u8| {
            if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
        };
        let mut subjects: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for row in &self.rows {
            subjects.entry(&row.subject).or_default().push(row);
        }
        let width = self.rows.iter().map(|row| row.case.chars().count()).max().unwrap_or(0);
        for (subject, mut rows) in subjects {
            rows.sort_by_key(|row| row.clause);
            println!("\n{}", paint(subject, 1));
            for Row { clause, case, failure, note, .. } in rows {
                let (word, note) = match failure {
                    None => (paint(self.good, 32), note),
                    Some(failure) => (paint("FAILED", 31), failure),
                };
                println!("{}", format!("{clause:>4}  {case:<width$}  {word}  {note}").trim_end());
            }
        }
        println!("\n{} {}, {} failed", self.rows.len() - self.failed(), self.good, self.failed());
    }

    pub(crate) fn json(&self) -> Value {
        let rows = self.rows.iter().map(|Row { subject, clause, case, failure, note }| {
            json!({
                "subject": subject, "clause": clause.to_string(), "case": case,
                "passed": failure.is_none(), "failure": failure, "note": note,
            })
        });
        json!({ "passed": self.rows.len() - self.failed(), "failed": self.failed(), "rows": rows.collect::<Vec<_>>() })
    }
}
