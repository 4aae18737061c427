//! `cargo xtask bench`: builds and runs everything that docs/performance.md compares.

use anyhow::Result;
use clap::Args;

use crate::run::{cargo, run, target};

#[derive(Args)]
pub(crate) struct Options {
    /// Take few samples, and print the report instead of writing it
    #[arg(long)]
    quick: bool,
}

pub(crate) fn bench(options: &Options) -> Result<()> {
    let target = target()?;
    // Ours apart: a build of several programs gives to each of them the features that any of them asks for.
    for (folder, programs) in [
        ("startup", "--package bare-default --package bare-sdk"),
        ("startup", "--package main-job --package ours"),
        ("reads", ""),
    ] {
        let build = format!("build --release --locked --manifest-path benches/{folder}/Cargo.toml");
        run(cargo(&format!("{build} {programs} --target-dir")).arg(target.join(folder)))?;
    }
    // It looks for the programs beside itself.
    let mut measure = cargo("run --release --package performance --");
    run(measure.env("CARGO_TARGET_DIR", &target).args(options.quick.then_some("--quick")))
}
