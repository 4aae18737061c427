//! The tasks that a person runs.

use std::ffi::OsString;

use anyhow::{Result, bail, ensure};

use crate::{
    metadata::Metadata,
    run::{cargo, run},
};

/// All tests, doc tests and examples.
pub(crate) fn test() -> Result<()> {
    run(&mut cargo("test --workspace --all-features --lib --bins --tests --examples"))?;
    run(&mut cargo("test --workspace --all-features --doc"))?;
    let examples = Metadata::load()?.examples();
    ensure!(!examples.is_empty(), "no example was found");
    for (package, example) in examples {
        run(&mut cargo(&format!("run --quiet --package {package} --all-features --example {example}")))?;
    }
    Ok(())
}

pub(crate) fn conformance(args: &[OsString]) -> Result<()> {
    run(cargo("run --quiet --package conformance --").args(args))
}

pub(crate) fn bench(args: &[OsString]) -> Result<()> {
    run(cargo("bench --package ksm-storage --all-features").args(args))
}

pub(crate) fn demo() -> Result<()> {
    bail!(
        "the demo is still to come: it needs the AWS backend and the bridge to the Keeper SDK, which this version \
         does not have. `cargo run --example quick_start` shows the storage itself"
    )
}
