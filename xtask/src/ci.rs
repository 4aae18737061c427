//! The checks that a change or a release must pass.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::{Args, builder::PossibleValuesParser};

use crate::{
    api, check_backend, dependencies, fuzz, mutants, package, python,
    run::{cargo, output, run, say},
    tests,
    tools::{self, installing},
};

#[derive(Args)]
pub(crate) struct Options {
    /// Also run the slow checks that a release must pass
    #[arg(long)]
    full: bool,
    /// Run only these checks
    #[arg(value_name = "CHECK", value_parser = PossibleValuesParser::new(names()))]
    only: Vec<String>,
}

pub(crate) struct Step {
    name: &'static str,
    /// True for checks that only a release must pass.
    slow: bool,
    /// Runs the check, and returns what it skipped, if anything.
    check: Box<dyn FnOnce() -> Result<Option<String>>>,
}

/// A check that skips nothing.
pub(crate) fn step(name: &'static str, check: impl FnOnce() -> Result<()> + 'static) -> Step {
    Step { name, slow: false, check: Box::new(move || check().map(|()| None)) }
}

/// A check that consists of one cargo command.
pub(crate) fn line(name: &'static str, words: impl Into<String>) -> Step {
    let words = words.into();
    step(name, move || run(cargo(&words).env("RUSTDOCFLAGS", "-D warnings")))
}

fn steps() -> Vec<Step> {
    let deny = "--all-features check --hide-inclusion-graph licenses bans sources";
    let mut steps = vec![
        step("lock files", lock_files),
        step("fmt", fmt),
        Step { name: "deploy", slow: false, check: Box::new(python::deploy) },
        step("dependency trees", dependencies::trees),
        step("rust versions", dependencies::rust_versions),
        step("unused dependencies", || run(&mut tools::MACHETE.command("--skip-target-dir")?)),
        step("licences, bans, sources", move || run(&mut tools::DENY.command(deny)?)),
        step("package", || package::package(&package::Options::default())),
        line("clippy", "clippy --workspace --all-targets --all-features -- -D warnings"),
        step("features", || run(&mut tools::HACK.command(FEATURES)?)),
        line("rustdoc", "doc --workspace --no-deps --all-features"),
        step("conformance: broken", || tests::conformance_again("BROKEN", "1")),
        step("conformance: histories", || tests::conformance_again("HISTORIES", "2000")),
        step("schedules", || tests::schedules(&[])),
        step("python", || python::python(&[])),
        // Last, so that the output of a failed test is at the end.
        step("test", tests::test_all),
    ];
    let slow = vec![
        step("features of all crates", || run(&mut tools::HACK.command(MORE_FEATURES)?)),
        step("schedules: clippy", tests::schedules_clippy),
        step("site", || run(&mut tools::BOOK.command("build docs")?)),
        step("public API", || api::api(&api::Options { check: true })),
        step("package: compile", || package::package(&package::Options { verify: true })),
        line("aws-lc: example", format!("build --example aws {AWS_LC}")),
        line("aws-lc: test", format!("test --test network {AWS_LC}")),
        step("new backend", check_backend::check_new_backend),
        step("conformance: more histories", || tests::conformance_again("HISTORIES", "100000")),
        step("python: release", || python::python(&["--full".to_owned()])),
        Step { name: "instructions", slow: true, check: Box::new(tests::instructions) },
        step("fuzz", || fuzz::fuzz(&fuzz::Options::default())),
        step("mutants", mutants::last_change),
    ];
    steps.extend(slow.into_iter().map(|step| Step { slow: true, ..step }));
    steps
}

/// Each feature alone, and none. The clippy step checks all of them together.
const FEATURES: &str = "clippy --package ksm-storage --each-feature --exclude-all-features -- -D warnings";
/// The facade forwards most of these features.
const MORE_FEATURES: &str = "clippy --package ksm-storage-aws --package ksm-storage-emulator \
                             --package ksm-storage-file --package ksm-storage-keeper --package ksm-storage-memory \
                             --each-feature --exclude-all-features -- -D warnings";
/// A separate folder, because the example has the same name as the one built with ring.
const AWS_LC: &str = "--package ksm-storage --no-default-features --features aws-minimal,tls-aws-lc,testing --target-dir target/aws-lc";

fn names() -> Vec<&'static str> {
    steps().iter().map(|step| step.name).collect()
}

pub(crate) fn ci(options: &Options) -> Result<()> {
    let (chosen, left_out): (Vec<_>, Vec<_>) = steps().into_iter().partition(|step| match &*options.only {
        [] => options.full || !step.slow,
        only => only.iter().any(|name| name == step.name),
    });
    let result = run_steps(chosen);
    if options.only.is_empty() && !options.full {
        let left_out: Vec<_> = left_out.iter().map(|step| step.name).collect();
        say(&format!("in part: only `cargo xtask ci --full` runs {}", left_out.join(", ")));
    }
    result
}

/// Runs all steps, even after a failure, and prints how long each took. Fails with a list of the failed steps.
pub(crate) fn run_steps(steps: Vec<Step>) -> Result<()> {
    let (mut table, mut failed) = (Vec::new(), Vec::new());
    let (mut checks, mut installations) = (Duration::ZERO, Duration::ZERO);
    for Step { name, check, .. } in steps {
        say(&format!("\n=== {name}"));
        installing();
        let start = Instant::now();
        let result = check();
        let installation = installing();
        let time = start.elapsed().saturating_sub(installation);
        (checks, installations) = (checks + time, installations + installation);
        let verdict = match &result {
            Ok(None) => format!("passed   {name}"),
            Ok(Some(left_out)) => format!("in part  {name}: {left_out}"),
            Err(error) => {
                say(&format!("error: {error:#}"));
                failed.push(name);
                format!("FAILED   {name}")
            }
        };
        table.push(format!("{:>7.1} s  {verdict}", time.as_secs_f64()));
    }
    say("\nsummary");
    say(&table.join("\n"));
    say(&format!(
        "{:>7.1} s  in total, and {:.1} s to install tools",
        checks.as_secs_f64(),
        installations.as_secs_f64()
    ));
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// This workspace and three others, which are not compiled for every change.
const PACKAGES: [&str; 4] = [".", "benches/reads", "benches/startup", "fuzz"];

/// Checks the lock files. Also fails if a crate lacks a feature that another one requests.
fn lock_files() -> Result<()> {
    let metadata =
        |folder| format!("metadata --format-version 1 --locked --manifest-path {folder}/Cargo.toml");
    PACKAGES.iter().try_for_each(|folder| output(&mut cargo(&metadata(folder))).map(drop))
}

fn fmt() -> Result<()> {
    let fmt = |folder| format!("fmt --all --manifest-path {folder}/Cargo.toml -- --check");
    PACKAGES.iter().try_for_each(|folder| run(&mut cargo(&fmt(folder))))
}

#[cfg(test)]
mod unit {
    use std::{cell::Cell, rc::Rc};

    use anyhow::bail;

    use super::*;

    #[test]
    fn steps_run_after_a_failure() {
        let ran = Rc::new(Cell::new(false));
        let mark = Rc::clone(&ran);
        let steps = vec![
            step("one", || bail!("no")),
            step("two", move || {
                mark.set(true);
                Ok(())
            }),
        ];
        assert_eq!(run_steps(steps).unwrap_err().to_string(), "failed: one");
        assert!(ran.get());
    }
}
