//! What became of the mutants that were tried.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{Target, list::Mutant};
use crate::run::root;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A test failed.
    Caught,
    /// It does not compile.
    Unviable,
    /// The tests had not ended after a multiple of the time that they need.
    Timeout,
    /// No test noticed.
    Missed,
}

impl Outcome {
    pub(super) const ALL: [Self; 4] = [Self::Caught, Self::Unviable, Self::Timeout, Self::Missed];

    /// What cargo-mutants calls it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Caught => "caught",
            Self::Unviable => "unviable",
            Self::Timeout => "timeout",
            Self::Missed => "missed",
        }
    }
}

/// The outcomes that are known of a target. They are of mutants of a file with a certain content, and of no other.
#[derive(Default)]
pub(super) struct Outcomes {
    path: PathBuf,
    known: BTreeMap<(u64, String), Outcome>,
}

/// An outcome as it was found: of the mutant with that name, in the file with that hash.
pub(super) type Found = ((u64, String), Outcome);

impl Outcomes {
    pub(super) fn read(target: &Target) -> Result<Self> {
        Self::at(folder(target).join("outcomes.tsv"))
    }

    pub(super) fn at(path: PathBuf) -> Result<Self> {
        let text = read_if_there(&path)?;
        Ok(Self { known: text.lines().filter_map(parse).collect(), path })
    }

    /// Appends, so that shards that run at the same time do not undo one another's entries. The last one counts.
    pub(super) fn add(&mut self, found: Vec<Found>) -> Result<()> {
        let mut lines = Vec::new();
        for ((hash, name), outcome) in &found {
            writeln!(lines, "{}\t{hash}\t{name}", outcome.word())?;
        }
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        file.write_all(&lines).with_context(|| format!("{} cannot be written", self.path.display()))?;
        self.known.extend(found);
        Ok(())
    }

    pub(super) fn of(&self, mutant: &Mutant) -> Option<Outcome> {
        self.known.get(&(mutant.hash, mutant.name.clone())).copied()
    }

    /// What was caught once is taken for caught; what survived or timed out may have been met by a test since.
    pub(super) fn is_settled(&self, mutant: &Mutant) -> bool {
        matches!(self.of(mutant), Some(Outcome::Caught | Outcome::Unviable))
    }
}

impl FromIterator<Found> for Outcomes {
    fn from_iter<I: IntoIterator<Item = Found>>(found: I) -> Self {
        Self { path: PathBuf::new(), known: found.into_iter().collect() }
    }
}

fn parse(line: &str) -> Option<Found> {
    let mut parts = line.splitn(3, '\t');
    let (word, hash, name) = (parts.next()?, parts.next()?, parts.next()?);
    let outcome = Outcome::ALL.into_iter().find(|outcome| outcome.word() == word)?;
    Some(((hash.parse().ok()?, name.to_owned()), outcome))
}

/// Where everything about a target is kept.
pub(super) fn folder(target: &Target) -> PathBuf {
    root().join("target/mutants").join(target.name)
}

pub(super) fn read_if_there(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        text => text.with_context(|| format!("{} cannot be read", path.display())),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{super::list::tests::mutant, *};

    pub(in super::super) fn outcomes(found: &[(&Mutant, Outcome)]) -> Outcomes {
        found.iter().map(|(mutant, outcome)| ((mutant.hash, mutant.name.clone()), *outcome)).collect()
    }

    #[test]
    fn only_what_cannot_change_is_settled_and_only_while_the_file_is_the_same() {
        let [a, b, c] = ["f.rs:1:1: a", "f.rs:2:1: b", "f.rs:3:1: c"].map(|name| mutant(name, 7));
        let outcomes = outcomes(&[(&a, Outcome::Caught), (&b, Outcome::Missed), (&c, Outcome::Timeout)]);
        assert!(outcomes.is_settled(&a) && !outcomes.is_settled(&b) && !outcomes.is_settled(&c));
        assert!(!outcomes.is_settled(&mutant("f.rs:1:1: a", 8)));
        assert_eq!(outcomes.of(&mutant("f.rs:2:1: b", 8)), None);
    }

    #[test]
    fn half_a_line_is_not_read() {
        assert_eq!(
            parse("missed\t7\tf.rs:1:1: a\tb"),
            Some(((7, "f.rs:1:1: a\tb".to_owned()), Outcome::Missed))
        );
        assert!(parse("caught\t12").is_none() && parse("").is_none() && parse("done\t1\tx").is_none());
    }
}
