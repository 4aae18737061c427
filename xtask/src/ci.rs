//! The checks that a change or a release must pass.

use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Args;

use crate::{
    check_backend, dependencies, python,
    run::{cargo, output, run, say},
    tests, tools,
};

#[derive(Args)]
pub(crate) struct Options {
    /// Also run the slow checks that a release must pass
    #[arg(long)]
    full: bool,
    /// Run only these checks, such as `fmt`; an unknown one is an error that names all
    #[arg(value_name = "CHECK")]
    only: Vec<String>,
}

pub(crate) struct Step {
    name: &'static str,
    check: Box<dyn FnOnce() -> Result<Option<String>>>,
}

/// A check that skips nothing.
pub(crate) fn step(name: &'static str, check: impl FnOnce() -> Result<()> + 'static) -> Step {
    partial(name, move || check().map(|()| None))
}

/// A check that returns what it skipped, if anything.
pub(crate) fn partial(name: &'static str, check: impl FnOnce() -> Result<Option<String>> + 'static) -> Step {
    Step { name, check: Box::new(check) }
}

/// A check that consists of one cargo command.
pub(crate) fn line(name: &'static str, words: impl Into<String>) -> Step {
    let words = words.into();
    step(name, move || run(cargo(&words).env("RUSTDOCFLAGS", "-D warnings")))
}

/// The checks that a change must pass.
fn steps() -> Vec<Step> {
    let deny = "--all-features check --hide-inclusion-graph licenses bans sources";
    vec![
        step("tools", || tools::install(&[tools::DENY, tools::HACK, tools::MACHETE])),
        step("lock files", lock_files),
        step("fmt", fmt),
        partial("deploy", python::deploy),
        step("dependency trees", dependencies::trees),
        step("rust versions", dependencies::rust_versions),
        step("unused dependencies", || run(&mut tools::MACHETE.command("--skip-target-dir")?)),
        step("licences, bans, sources", move || run(&mut tools::DENY.command(deny)?)),
        line("package", "xtask package"),
        line("clippy", "clippy --workspace --all-targets --all-features -- -D warnings"),
        step("features", || run(&mut tools::HACK.command(FEATURES)?)),
        line("rustdoc", "doc --workspace --no-deps --all-features"),
        line("conformance: broken", "xtask conformance --broken"),
        line("conformance: histories", "xtask conformance --histories 2000"),
        line("schedules", "xtask schedules"),
        line("python", "xtask python"),
        // Last, so that the output of a failed test is at the end.
        step("test", tests::test_all),
    ]
}

/// The checks that only a release must pass.
fn slow_steps() -> Vec<Step> {
    vec![
        step("tools: more", || {
            tools::install(&[tools::BOOK, tools::FUZZ, tools::MUTANTS, tools::PUBLIC_API])
        }),
        step("features of all crates", || run(&mut tools::HACK.command(MORE_FEATURES)?)),
        step("schedules: clippy", tests::schedules_clippy),
        step("site", || run(&mut tools::BOOK.command("build docs")?)),
        line("public API", "xtask api --check"),
        line("package: compile", "xtask package --verify"),
        line("aws-lc: example", format!("build --example aws {AWS_LC}")),
        line("aws-lc: test", format!("test --test network {AWS_LC}")),
        step("new backend", check_backend::check_new_backend),
        line("conformance: more histories", "xtask conformance --histories 100000"),
        line("python: release", "xtask python --full"),
        partial("instructions", tests::instructions),
        line("fuzz", "xtask fuzz"),
        line("mutants", "xtask mutants --in-diff"),
    ]
}

/// Each feature alone, and none. The clippy step checks all of them together.
const FEATURES: &str = "clippy --package ksm-storage --each-feature --exclude-all-features -- -D warnings";
/// The facade forwards most of these features.
const MORE_FEATURES: &str = "clippy --package ksm-storage-aws --package ksm-storage-emulator \
                             --package ksm-storage-file --package ksm-storage-keeper --package ksm-storage-memory \
                             --each-feature --exclude-all-features -- -D warnings";
/// A separate folder, because the example has the same name as the one built with ring.
const AWS_LC: &str = "--package ksm-storage --no-default-features --features aws-minimal,tls-aws-lc,testing --target-dir target/aws-lc";

pub(crate) fn ci(options: &Options) -> Result<()> {
    let (mut steps, slow) = (steps(), slow_steps());
    if options.full || !options.only.is_empty() {
        steps.extend(slow);
        return run_steps(steps, &options.only);
    }
    let result = run_steps(steps, &[]);
    let left_out: Vec<_> = slow.iter().map(|step| step.name).collect();
    say(&format!("in part: only `cargo xtask ci --full` runs {left_out:?}"));
    result
}

/// Runs the steps that `only` names, or all, even after a failure, and prints how long each took. Fails with a list of
/// the failed steps.
pub(crate) fn run_steps(mut steps: Vec<Step>, only: &[String]) -> Result<()> {
    let names: Vec<_> = steps.iter().map(|step| step.name).collect();
    for name in only {
        ensure!(names.contains(&&**name), "there is no step `{name}`; choose from {names:?}");
    }
    steps.retain(|step| only.is_empty() || only.iter().any(|name| name == step.name));
    let row = |start: Instant, text: &str| format!("{:>7.1} s  {text}", start.elapsed().as_secs_f64());
    let (mut table, mut failed) = (Vec::new(), Vec::new());
    let start = Instant::now();
    for Step { name, check } in steps {
        say(&format!("\n=== {name}"));
        let start = Instant::now();
        let result = check();
        let verdict = match &result {
            Ok(None) => format!("passed   {name}"),
            Ok(Some(left_out)) => format!("in part  {name}: {left_out}"),
            Err(error) => {
                say(&format!("error: {error:#}"));
                failed.push(name);
                format!("FAILED   {name}")
            }
        };
        table.push(row(start, &verdict));
    }
    say("\nsummary");
    let in_part = table.iter().any(|row| row.contains("in part"));
    let whole = if in_part { "in part" } else { "" };
    table.push(row(start, &format!("{whole:<8} in total")));
    say(&table.join("\n"));
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
    use anyhow::bail;

    use super::*;

    #[test]
    fn steps_run_after_a_failure() {
        let steps = || ["one", "two"].map(|name| step(name, || bail!("no"))).into();
        let failure = |only: &[String]| run_steps(steps(), only).unwrap_err().to_string();
        assert_eq!(failure(&[]), "failed: one, two");
        assert_eq!(failure(&["two".to_owned()]), "failed: two");
        assert!(failure(&["three".to_owned()]).ends_with("[\"one\", \"two\"]"));
    }
}
