//! Mutation testing: the code is made wrong in one place at a time, and a test must fail.

mod accepted;
mod change;
mod list;
mod outcomes;
mod report;
mod runner;

use anyhow::{Context, Result, bail, ensure};
use clap::builder::PossibleValuesParser;

use self::{accepted::Accepted, list::Mutant, outcomes::Outcomes, report::Tally};
use crate::run::say;

pub(crate) use self::change::last_change;

/// A package of which mutants are made, and the tests that are to notice them.
struct Target {
    /// What follows `ksm-storage-` in the package's name.
    name: &'static str,
    /// The files that are mutated and, among them, those that are not: globs below `src`.
    files: &'static [&'static str],
    without: &'static [&'static str],
    /// What `cargo test` builds and runs beside `--package` and `--all-features`: what is fast, and no test twice.
    tests: &'static str,
    /// What the test programs are told to leave out.
    skip: &'static [&'static str],
}

/// The longest case of the conformance suite. Its random programs find what it does.
const INCREMENTS: &str = "c06_increments_through";

/// In the order in which they are tried: what compiles fast comes first.
const TARGETS: &[Target] = &[
    Target {
        name: "core",
        files: &["**"],
        without: &["schedules/**"],
        tests: "--package ksm-storage-memory --lib --test handle --test queue --test cancellation --test conformance",
        skip: &["through_dyn_pointers::", "unconditional::", INCREMENTS],
    },
    Target {
        name: "memory",
        files: &["**"],
        without: &[],
        tests: "--lib --test conformance",
        skip: &[INCREMENTS],
    },
    Target {
        name: "file",
        files: &["**"],
        without: &["os/other.rs", "store_tests.rs", "store_tests/**"],
        tests: "--lib --test file --test conformance",
        skip: &[INCREMENTS],
    },
    Target {
        name: "aws",
        files: &[
            "backend.rs",
            "error.rs",
            "interceptors.rs",
            "region.rs",
            "sdk.rs",
            "secret_id.rs",
            "slot.rs",
        ],
        without: &[],
        tests: "--lib --test protocol --test conformance --test wire",
        skip: &["_over_http::", "on_blocking_core::", "with_delays::", INCREMENTS],
    },
    Target {
        name: "sdk",
        files: &["**"],
        without: &["fake/**"],
        tests: "--lib --test keeper",
        skip: &["orders::"],
    },
];

/// What must be caught, or not compile, of all mutants of a package.
const LEAST_PERCENT: usize = 95;
/// Of the random samples.
const SEED: u64 = 1;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which packages are mutated, by what follows `ksm-storage-`; all of them without any
    #[arg(value_parser = PossibleValuesParser::new(TARGETS.iter().map(|target| target.name)))]
    packages: Vec<String>,
    /// Try only the k-th of n parts, from 0: parts can be tried at the same time
    #[arg(long, value_name = "K/N", value_parser = parse_shard)]
    shard: Option<(usize, usize)>,
    /// Try so many of each package, chosen at random with a fixed seed
    #[arg(long, value_name = "N")]
    sample: Option<usize>,
    /// Try only what has changed since a revision (HEAD~1), for five minutes at most once all is compiled
    #[arg(long, value_name = "REVISION", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = change::PARENT, conflicts_with_all = ["packages", "shard", "sample"])]
    in_diff: Option<String>,
}

/// What is caught or does not compile is not tried again while its file stays as it is, so that an interrupted run goes
/// on where it was, and one after better tests tries what had survived. Without `target/mutants` all begins anew.
pub(crate) fn mutants(args: &Args) -> Result<()> {
    if let Some(revision) = &args.in_diff {
        return change::since(revision).map(drop);
    }
    let accepted = Accepted::read()?;
    let mut failed = Vec::new();
    for target in TARGETS.iter().filter(|target| args.packages.is_empty() || args.named(target)) {
        say(&format!("\n=== {}", target.name));
        if let Err(error) = try_target(target, args, &accepted) {
            say(&format!("error: {error:#}"));
            failed.push(target.name);
        }
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

impl Args {
    fn named(&self, target: &Target) -> bool {
        self.packages.iter().any(|name| name == target.name)
    }
}

fn try_target(target: &Target, args: &Args, accepted: &Accepted) -> Result<()> {
    let all = list::mutants(target, None)?;
    let chosen = match args.sample {
        Some(count) => list::sample(&all, count, SEED),
        None => all.iter().collect(),
    };
    let own = list::shard(&chosen, args.shard.unwrap_or((0, 1)));
    let folder = runner::Folder::of_shard(target, args.shard)?;
    let mut outcomes = Outcomes::read(target)?;
    folder.hand_over(&mut outcomes)?;
    let left: Vec<_> = own.iter().copied().filter(|mutant| !outcomes.is_settled(mutant)).collect();
    say(&format!("{} mutants, {} of them to be tried", own.len(), left.len()));
    if !left.is_empty() {
        let ended = runner::run(target, &left, &folder, None);
        folder.hand_over(&mut outcomes)?;
        ended?;
    }
    // What another shard has found meanwhile counts, too.
    let outcomes = Outcomes::read(target)?;
    let complete = Tally::new(&chosen, &outcomes);
    if complete.untried.is_empty() {
        report::write(target, &complete, accepted, all.len())?;
    }
    judge(target, &all, &own, args.sample.is_none() && args.shard.is_none(), &outcomes, accepted)
}

/// Fails for what survives and is not listed, for what is listed and does not survive, and for too low a share.
fn judge(
    target: &Target,
    all: &[Mutant],
    tried: &[&Mutant],
    complete: bool,
    outcomes: &Outcomes,
    accepted: &Accepted,
) -> Result<()> {
    let tally = Tally::new(tried, outcomes);
    say(&tally.to_string());
    ensure!(tally.untried.is_empty(), "{} mutants were not tried", tally.untried.len());
    let mut wrong = tally.unlisted(accepted);
    if complete {
        wrong.extend(accepted.stale(target, all, outcomes));
        if tally.percent() < LEAST_PERCENT {
            wrong.push(format!("less than {LEAST_PERCENT} % are caught or do not compile"));
        }
    }
    ensure!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    Ok(())
}

fn parse_shard(text: &str) -> Result<(usize, usize)> {
    let (part, parts) = text.split_once('/').context("write it as 0/2")?;
    let shard = (part.parse()?, parts.parse()?);
    if shard.0 >= shard.1 {
        bail!("parts are counted from 0, so 0/2 and 1/2 are the two halves");
    }
    Ok(shard)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::root;

    #[test]
    fn every_file_that_is_named_is_there() {
        for target in TARGETS {
            let source = root().join(format!("crates/ksm-storage-{}/src", target.name));
            for file in target.files.iter().chain(target.without) {
                let path = source.join(file.trim_end_matches("**"));
                assert!(path.exists(), "{}", path.display());
            }
        }
    }
}
