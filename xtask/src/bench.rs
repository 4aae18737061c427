//! `cargo xtask bench`: builds and runs everything compared in docs/performance.md.

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
    // Built separately: otherwise each program would get the combined features of all.
    for (folder, programs) in [
        ("startup", "--package bare-default --package bare-sdk"),
        ("startup", "--package main-job --package ours"),
        ("reads", ""),
    ] {
        let build = format!("build --release --locked --manifest-path benches/{folder}/Cargo.toml");
        run(cargo(&format!("{build} {programs} --target-dir")).arg(target.join(folder)))?;
    }
    // It expects the programs next to itself.
    let mut measure = cargo("run --release --package performance --");
    run(measure.env("CARGO_TARGET_DIR", &target).args(options.quick.then_some("--quick")))
}
