//! `cargo xtask bench`: builds and runs everything that docs/performance.md compares.

use anyhow::Result;
use clap::Args;

use crate::run::{cargo, run, target};

const PROGRAMS: &[&str] = &["bare-default", "bare-trimmed", "ours", "ours-minimal"];

#[derive(Args)]
pub(crate) struct Options {
    /// Take few samples, and print the report instead of writing it
    #[arg(long)]
    quick: bool,
}

pub(crate) fn bench(options: &Options) -> Result<()> {
    let target = target()?;
    for (folder, programs) in [("startup", PROGRAMS), ("reads", &["reads"])] {
        let mut build =
            cargo(&format!("build --release --locked --manifest-path benches/{folder}/Cargo.toml"));
        build.args(programs.iter().flat_map(|name| ["--package", name]));
        run(build.arg("--target-dir").arg(target.join(folder)))?;
    }
    // It looks for the programs beside itself.
    let mut measure = cargo("run --release --package performance --");
    run(measure.env("CARGO_TARGET_DIR", &target).args(options.quick.then_some("--quick")))
}
