//! Mutation testing: cargo-mutants changes the code in one place at a time, and a test must fail.

use std::fs;

use anyhow::Result;
use clap::Args;

use crate::{
    ci::{run_steps, step},
    run::{command, output, root, run, target},
    tools,
};

#[derive(Args)]
pub(crate) struct Options {
    /// Crates to mutate, without the prefix `ksm-storage-` [default: all that consist of more than test tooling]
    #[arg(value_name = "CRATE")]
    crates: Vec<String>,
    /// Mutate only lines that differ from a revision
    #[arg(long, value_name = "REVISION", num_args = 0..=1, require_equals = true, default_missing_value = "HEAD~1")]
    in_diff: Option<String>,
    /// Arguments for cargo-mutants, such as `--list`, `--iterate` or `--shard 0/2`
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Crates that consist of more than test tooling.
const CRATES: [&str; 5] = ["memory", "core", "file", "aws", "keeper"];

pub(crate) fn mutants(options: &Options) -> Result<()> {
    let mut arguments = options.arguments.clone();
    if let Some(revision) = &options.in_diff {
        // The point where this branch diverged from the revision.
        let base = output(command("git merge-base HEAD").arg(revision))?;
        let diff = "git diff --no-color --no-ext-diff --no-renames --src-prefix=a/ --dst-prefix=b/";
        let diff = output(command(diff).args([base.trim(), "--", "*.rs"]))?;
        let file = target()?.join("mutants.diff");
        fs::write(&file, diff)?;
        arguments.extend(["--in-diff".to_owned(), file.display().to_string()]);
    }
    let steps = CRATES.map(|name| {
        let arguments = arguments.clone();
        step(name, move || mutate(name, &arguments))
    });
    run_steps(steps.into(), &options.crates)
}

fn mutate(name: &str, arguments: &[String]) -> Result<()> {
    // The memory backend's conformance tests also test core.
    let tests = if name == "core" { "core,ksm-storage-memory" } else { name };
    let package = format!("--package ksm-storage-{name} --test-package ksm-storage-{tests}");
    let output = format!("target/mutants/{name}");
    fs::create_dir_all(root().join(&output))?;
    let mut mutants = tools::MUTANTS.command(&format!("{package} --output {output}"))?;
    // A few random inputs are enough to catch a mutant.
    run(mutants.args(arguments).env("PROPTEST_CASES", "16"))
}
