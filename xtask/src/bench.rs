//! `cargo xtask bench`: builds and runs everything that docs/performance.md compares.

use anyhow::Result;

use crate::run::{cargo, run, target};

const PROGRAMS: &[&str] = &["bare-default", "bare-trimmed", "ours", "ours-minimal"];

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Length {
    Report,
    Quick,
}

pub(crate) fn bench(length: Length) -> Result<()> {
    let target = target()?;
    for (folder, programs) in [("startup", PROGRAMS), ("reads", &["reads"])] {
        let mut build =
            cargo(&format!("build --release --locked --manifest-path benches/{folder}/Cargo.toml"));
        build.args(programs.iter().flat_map(|name| ["--package", name]));
        run(build.arg("--target-dir").arg(target.join(folder)))?;
    }
    // It looks for the programs beside itself.
    let mut measure = cargo("run --release --package performance --");
    run(measure.env("CARGO_TARGET_DIR", &target).args((length == Length::Quick).then_some("--quick")))
}
