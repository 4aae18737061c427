//! What came out, as a table or as JSON.

use std::collections::BTreeMap;

use ksm_storage_testkit::Clause;
use serde_json::{Value, json};

/// One case on one subject.
pub(crate) struct Row {
    pub(crate) backend: String,
    pub(crate) subject: String,
    pub(crate) clause: Clause,
    pub(crate) case: String,
    pub(crate) verdict: Verdict,
    pub(crate) note: String,
}

/// What became of a case.
pub(crate) enum Verdict {
    Good,
    Failed(String),
    /// Not run, since the emulator is known to be wrong there.
    Excluded(&'static str),
    /// Not run, since something is missing here.
    NotRun(String),
}

impl Verdict {
    pub(crate) fn of<E: ToString>(result: Result<(), E>) -> Self {
        result.map_or_else(|error| Self::Failed(error.to_string()), |()| Self::Good)
    }
}

pub(crate) struct Table {
    pub(crate) rows: Vec<Row>,
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

    /// Whether there was something to do, and nothing of it failed; and nothing was left out for want of something, if
    /// `everything` must run.
    pub(crate) fn passed(&self, everything: bool) -> bool {
        let [_, failed, _, not_run] = self.counts();
        !self.rows.is_empty() && failed == 0 && !(everything && not_run > 0)
    }

    /// What was not run for want of something, and why.
    pub(crate) fn missing(&self) -> Option<(&str, &str)> {
        self.rows.iter().find_map(|row| match &row.verdict {
            Verdict::NotRun(why) => Some((&*row.backend, &**why)),
            _ => None,
        })
    }

    /// Good, failed, excluded, not run.
    fn counts(&self) -> [usize; 4] {
        let mut counts = [0; 4];
        for row in &self.rows {
            counts[match row.verdict {
                Verdict::Good => 0,
                Verdict::Failed(_) => 1,
                Verdict::Excluded(_) => 2,
                Verdict::NotRun(_) => 3,
            }] += 1;
        }
        counts
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
            for Row { clause, case, verdict, note, .. } in rows {
                let (word, note) = match verdict {
                    Verdict::Good => (paint(self.good, 32), &**note),
                    Verdict::Failed(failure) => (paint("FAILED", 31), &**failure),
                    Verdict::Excluded(why) => (paint("excluded", 33), *why),
                    Verdict::NotRun(why) => (paint("NOT RUN", 33), &**why),
                };
                println!("{}", format!("{clause:>4}  {case:<width$}  {word}  {note}").trim_end());
            }
        }
        let [good, failed, excluded, not_run] = self.counts();
        let others = [(excluded, "excluded"), (not_run, "NOT RUN")];
        let others = others.iter().filter(|(count, _)| *count > 0);
        let others: String =
            others.fold(String::new(), |text, (count, word)| text + &format!("; {count} {word}"));
        println!("\n{good} {}, {failed} failed{others}", self.good);
    }

    pub(crate) fn json(&self) -> Value {
        let rows = self.rows.iter().map(|Row { backend, subject, clause, case, verdict, note }| {
            let (word, why) = match verdict {
                Verdict::Good => (self.good, None),
                Verdict::Failed(failure) => ("failed", Some(&**failure)),
                Verdict::Excluded(why) => ("excluded", Some(*why)),
                Verdict::NotRun(why) => ("not run", Some(&**why)),
            };
            json!({
                "backend": backend, "subject": subject, "clause": clause.to_string(), "case": case,
                "verdict": word, "why": why, "note": note,
            })
        });
        let [good, failed, excluded, not_run] = self.counts();
        json!({
            (self.good): good, "failed": failed, "excluded": excluded, "not run": not_run,
            "rows": rows.collect::<Vec<_>>(),
        })
    }
}
