//! The mutants that may survive, each with the reason: `xtask/mutants.txt`.

use anyhow::{Context, Result, ensure};

use super::{
    Target,
    list::Mutant,
    outcomes::{Outcome, Outcomes},
};

const LIST: &str = include_str!("../../mutants.txt");

/// Names without line and column.
#[derive(Debug)]
pub(super) struct Accepted(Vec<String>);

impl Accepted {
    pub(super) fn read() -> Result<Self> {
        Self::parse(LIST).context("xtask/mutants.txt")
    }

    /// A name a line, and below it the reason, indented. Lines that begin with `//` are about the list.
    fn parse(text: &str) -> Result<Self> {
        let mut names: Vec<String> = Vec::new();
        let mut explained = true;
        for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("//")) {
            if line.starts_with(' ') {
                ensure!(!names.is_empty(), "a reason for nothing: {line}");
                explained = true;
            } else {
                let name = line.trim_end();
                ensure!(explained, "no reason is given above {name}");
                ensure!(!names.iter().any(|other| other == name), "listed twice: {name}");
                names.push(name.to_owned());
                explained = false;
            }
        }
        ensure!(explained, "no reason is given at the end");
        Ok(Self(names))
    }

    pub(super) fn contains(&self, mutant: &Mutant) -> bool {
        self.0.contains(&mutant.key)
    }

    /// What is listed of a target although it does not exist, or does not survive.
    pub(super) fn stale(&self, target: &Target, all: &[Mutant], outcomes: &Outcomes) -> Vec<String> {
        let folder = format!("crates/ksm-storage-{}/", target.name);
        let mut stale = Vec::new();
        for name in self.0.iter().filter(|name| name.starts_with(&folder)) {
            let Some(mutant) = all.iter().find(|mutant| mutant.key == *name) else {
                stale.push(format!("listed, but there is no such mutant: {name}"));
                continue;
            };
            if matches!(outcomes.of(mutant), Some(Outcome::Caught | Outcome::Unviable)) {
                stale.push(format!("listed, but it does not survive: {name}"));
            }
        }
        stale
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{
        super::{TARGETS, list::tests::mutant, outcomes::tests::outcomes},
        *,
    };

    pub(in super::super) fn accepted(names: &[&str]) -> Accepted {
        Accepted(names.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn the_list_can_be_read() {
        Accepted::read().unwrap();
    }

    #[test]
    fn every_entry_needs_a_reason_and_stands_once() {
        assert_eq!(
            Accepted::parse("// about\n\na.rs: x\n  why\n  more\nb.rs: y\n  why\n").unwrap().0,
            ["a.rs: x", "b.rs: y"]
        );
        for wrong in ["a.rs: x\nb.rs: y\n  why\n", "a.rs: x\n", "  why\n", "a: x\n  why\na: x\n  why\n"] {
            assert!(Accepted::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_caught_now_or_is_no_more_is_stale() {
        let file = "crates/ksm-storage-core/src/key.rs";
        let [caught, missed] = ["1:1: a", "2:1: b"].map(|what| mutant(&format!("{file}:{what}"), 7));
        let found = outcomes(&[(&caught, Outcome::Caught), (&missed, Outcome::Missed)]);
        let accepted =
            accepted(&[&caught.key, &missed.key, &format!("{file}: c"), "crates/ksm-storage-keeper/a.rs: d"]);
        let stale = accepted.stale(&TARGETS[0], &[caught, missed], &found);
        assert_eq!(
            stale,
            [
                format!("listed, but it does not survive: {file}: a"),
                format!("listed, but there is no such mutant: {file}: c"),
            ]
        );
    }
}
