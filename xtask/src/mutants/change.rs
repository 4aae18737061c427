//! The mutants of the last change alone, within a time.

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{
    TARGETS,
    accepted::Accepted,
    list,
    outcomes::Outcomes,
    report::Tally,
    runner::{self, Ended, Folder},
};
use crate::run::{output, root, say};

/// The revision before the last commit.
pub(super) const PARENT: &str = "HEAD~1";

/// Five minutes, less what it takes to stop.
const BUDGET: Duration = Duration::from_secs(290);

/// As a check that others run.
pub(crate) fn last_change() -> Result<Option<String>> {
    since(PARENT)
}

/// Tries the mutants of the lines that differ from `revision`, or from where this branch left it, and fails if one
/// survives that is not listed. Those for which there is no time are no failure; that they were not tried is returned.
pub(super) fn since(revision: &str) -> Result<Option<String>> {
    let Some(base) = base(revision)? else {
        let why = "NOT RUN: there is no earlier commit here";
        say(why);
        return Ok(Some(why.to_owned()));
    };
    let diff = output(
        git("diff --no-color --no-ext-diff --no-renames --src-prefix=a/ --dst-prefix=b/")
            .args([&base, "--", "*.rs"]),
    )?;
    if diff.trim().is_empty() {
        say(&format!("no Rust file differs from {revision}, so there is no mutant to try"));
        return Ok(None);
    }
    let path = root().join("target/mutants/change.diff");
    fs::create_dir_all(root().join("target/mutants"))?;
    fs::write(&path, diff).with_context(|| format!("{} cannot be written", path.display()))?;
    let accepted = Accepted::read()?;
    let mut changed = Vec::new();
    for target in TARGETS {
        let mutants = list::mutants(target, Some(&path))?;
        if !mutants.is_empty() {
            changed.push((target, mutants));
        }
    }
    // Before the clock starts: the dependencies alone might take all of the time.
    for (target, _) in &changed {
        runner::compile(target, &Folder::of_change(target)?)?;
    }
    let deadline = Instant::now() + BUDGET;
    let [mut found, mut untried, mut wrong] = [0, 0, 0];
    for (target, mutants) in &changed {
        say(&format!("\n=== {}: {} mutants in what differs from {revision}", target.name, mutants.len()));
        let chosen: Vec<_> = mutants.iter().collect();
        // What was found before says nothing here: the change may have made a test worse.
        let mut outcomes = Outcomes::default();
        if Instant::now() < deadline {
            let folder = Folder::of_change(target)?;
            let ended = runner::run(target, &chosen, &folder, Some(deadline))?;
            outcomes = folder.found()?.into_iter().collect();
            if ended == Ended::OutOfTime {
                say("the time is over");
            }
        }
        let tally = Tally::new(&chosen, &outcomes);
        say(&tally.to_string());
        for line in tally.unlisted(&accepted) {
            say(&line);
        }
        found += chosen.len();
        untried += tally.untried.len();
        wrong += tally.survivors(&accepted);
    }
    if found == 0 {
        say(&format!("nothing that can be mutated differs from {revision}"));
    }
    if untried > 0 {
        say(&format!("{untried} of {found} mutants were NOT TRIED in {BUDGET:?}: nothing is known of them"));
    }
    ensure!(wrong == 0, "{wrong} mutants survive that are not listed in xtask/mutants.txt");
    Ok((untried > 0).then(|| format!("{untried} of {found} mutants were not tried")))
}

/// What is compared with: where this branch left `revision`. There is nothing if there is no commit before the last one,
/// which is so in a clone of a single one too.
fn base(revision: &str) -> Result<Option<String>> {
    let known = git("rev-parse --verify --quiet")
        .arg(format!("{revision}^{{commit}}"))
        .stdout(Stdio::null())
        .status()?;
    if known.success() {
        return Ok(Some(output(git("merge-base HEAD").arg(revision))?.trim().to_owned()));
    }
    ensure!(revision == PARENT, "there is no revision {revision} here");
    Ok(None)
}

fn git(words: &str) -> Command {
    let mut command = Command::new("git");
    command.current_dir(root()).args(words.split_whitespace());
    command
}
