//! Figures, and the table in `docs/mutants.md`.

use std::{fmt, fs};

use anyhow::{Context, Result};

use super::{
    SEED, Target,
    accepted::Accepted,
    list::Mutant,
    outcomes::{Outcome, Outcomes},
};
use crate::run::root;

const DOCUMENT: &str = "docs/mutants.md";
const HEAD: &str = "\
| package | which | mutants | caught | unviable | timeout | missed | accepted | caught or unviable |
|---|---|--:|--:|--:|--:|--:|--:|--:|
";
const MARKS: [&str; 2] = ["<!-- begin mutants -->\n", "<!-- end mutants -->"];

/// What became of some mutants.
pub(super) struct Tally<'a> {
    caught: usize,
    unviable: usize,
    timeout: Vec<&'a Mutant>,
    missed: Vec<&'a Mutant>,
    pub(super) untried: Vec<&'a Mutant>,
}

impl<'a> Tally<'a> {
    pub(super) fn new(mutants: &[&'a Mutant], outcomes: &Outcomes) -> Self {
        let mut tally =
            Self { caught: 0, unviable: 0, timeout: Vec::new(), missed: Vec::new(), untried: Vec::new() };
        for mutant in mutants {
            match outcomes.of(mutant) {
                Some(Outcome::Caught) => tally.caught += 1,
                Some(Outcome::Unviable) => tally.unviable += 1,
                Some(Outcome::Timeout) => tally.timeout.push(mutant),
                Some(Outcome::Missed) => tally.missed.push(mutant),
                None => tally.untried.push(mutant),
            }
        }
        tally
    }

    fn tried(&self) -> usize {
        self.caught + self.unviable + self.timeout.len() + self.missed.len()
    }

    /// What is caught or does not compile, rounded down. What timed out does not count: the machine may have been busy.
    pub(super) fn percent(&self) -> usize {
        (self.caught + self.unviable) * 100 / self.tried().max(1)
    }

    /// What survives or times out, and is not on the list.
    pub(super) fn unlisted(&self, accepted: &Accepted) -> Vec<String> {
        let lines = |mutants: &[&Mutant], word: &str| -> Vec<String> {
            let unlisted = mutants.iter().filter(|mutant| !accepted.contains(mutant));
            unlisted.map(|mutant| format!("{word}: {}\n  listed as: {}", mutant.name, mutant.key)).collect()
        };
        [lines(&self.missed, "survives"), lines(&self.timeout, "times out")].concat()
    }

    /// How many survive that are not on the list.
    pub(super) fn survivors(&self, accepted: &Accepted) -> usize {
        self.missed.iter().filter(|mutant| !accepted.contains(mutant)).count()
    }

    fn row(&self, target: &Target, accepted: &Accepted, all: usize) -> String {
        let which = if self.tried() == all {
            "all".to_owned()
        } else {
            format!("{} of {all} at random, seed {SEED}", self.tried())
        };
        let survivors = self.missed.iter().chain(&self.timeout);
        let listed = survivors.filter(|mutant| accepted.contains(mutant)).count();
        format!(
            "| {} | {which} | {} | {} | {} | {} | {} | {listed} | {} % |\n",
            target.name,
            self.tried(),
            self.caught,
            self.unviable,
            self.timeout.len(),
            self.missed.len(),
            self.percent(),
        )
    }
}

impl fmt::Display for Tally<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [timeout, missed, untried] = [&self.timeout, &self.missed, &self.untried].map(Vec::len);
        let Self { caught, unviable, .. } = self;
        write!(
            f,
            "{} tried: {caught} caught, {unviable} unviable, {timeout} timed out, {missed} missed",
            self.tried()
        )?;
        if untried > 0 { write!(f, "; {untried} NOT TRIED") } else { Ok(()) }
    }
}

/// Puts the target's row into the table of the document.
pub(super) fn write(target: &Target, tally: &Tally<'_>, accepted: &Accepted, all: usize) -> Result<()> {
    let path = root().join(DOCUMENT);
    let old = fs::read_to_string(&path).with_context(|| format!("{DOCUMENT} cannot be read"))?;
    let new = with_row(&old, &tally.row(target, accepted, all))
        .with_context(|| format!("{DOCUMENT} has no marks for the table"))?;
    fs::write(&path, new).with_context(|| format!("{DOCUMENT} cannot be written"))
}

/// The document with this row in the place of the one that begins alike, or after the others.
fn with_row(document: &str, row: &str) -> Option<String> {
    let [begin, end] = MARKS;
    let (before, rest) = document.split_once(begin)?;
    let (table, after) = rest.split_once(end)?;
    let name = |line: &str| line.split('|').nth(1).map(str::to_owned);
    let mut rows: Vec<_> = table.split_inclusive('\n').skip(HEAD.lines().count()).collect();
    match rows.iter().position(|old| name(old) == name(row)) {
        Some(place) => rows[place] = row,
        None => rows.push(row),
    }
    Some(format!("{before}{begin}{HEAD}{}{end}{after}", rows.concat()))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{TARGETS, accepted::tests::accepted, list::tests::mutant, outcomes::tests::outcomes},
        *,
    };

    #[test]
    fn neither_survivors_nor_timeouts_count_as_caught() {
        let mutants: Vec<_> = (0..40).map(|line| mutant(&format!("f.rs:{line}:1: m{line}"), 7)).collect();
        let kinds = |place: usize| match place {
            0..30 => Outcome::Caught,
            30..36 => Outcome::Unviable,
            36 => Outcome::Timeout,
            _ => Outcome::Missed,
        };
        let found: Vec<_> =
            mutants.iter().enumerate().map(|(place, mutant)| (mutant, kinds(place))).collect();
        let known = outcomes(&found[..39]);
        let tally = Tally::new(&mutants.iter().collect::<Vec<_>>(), &known);
        assert_eq!(tally.to_string(), "39 tried: 30 caught, 6 unviable, 1 timed out, 2 missed; 1 NOT TRIED");
        assert_eq!(tally.percent(), 92);
        assert_eq!(
            tally.row(&TARGETS[1], &accepted(&["f.rs: m36"]), 99),
            "| memory | 39 of 99 at random, seed 1 | 39 | 30 | 6 | 1 | 2 | 1 | 92 % |\n"
        );
        let unlisted = tally.unlisted(&accepted(&["f.rs: m36", "f.rs: m37"]));
        assert_eq!(unlisted, ["survives: f.rs:38:1: m38\n  listed as: f.rs: m38"]);
        assert_eq!(tally.unlisted(&accepted(&[])).len(), 3);
    }

    #[test]
    fn a_row_replaces_its_own_and_no_other() {
        let [begin, end] = MARKS;
        let document = |rows: &str| format!("a\n{begin}{HEAD}{rows}{end}\nb\n");
        let one = with_row(&document(""), "| x | 1 |\n").unwrap();
        assert_eq!(one, document("| x | 1 |\n"));
        let two = with_row(&one, "| xy | 2 |\n").unwrap();
        assert_eq!(with_row(&two, "| x | 3 |\n").unwrap(), document("| x | 3 |\n| xy | 2 |\n"));
        assert_eq!(with_row("no marks", "| x |\n"), None);
    }
}
