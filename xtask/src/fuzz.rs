//! Fuzzing on the stable toolchain, with coverage and debug assertions. Sanitizers would need a nightly toolchain.

use std::fs;

use anyhow::Result;
use clap::{Args, builder::PossibleValuesParser};

use crate::{
    run::{root, run},
    tools,
};

#[derive(Args, Default)]
pub(crate) struct Options {
    /// Seconds to run each target
    #[arg(long, default_value = "30", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    /// Target to run [default: all]
    #[arg(value_parser = PossibleValuesParser::new(TARGETS))]
    target: Option<String>,
}

const TARGETS: [&str; 4] = ["document", "framing", "request", "secret_id"];

const BUILD: &str = "--sanitizer none --dev";
/// Limits of libFuzzer. Longer inputs would exercise the same code.
const LIMITS: &str = "-max_len=8192 -timeout=20 -rss_limit_mb=2048";

/// Runs the targets on the committed inputs and on mutations of them. cargo-fuzz prints how to reproduce a failure.
pub(crate) fn fuzz(options: &Options) -> Result<()> {
    run(tools::FUZZ.command(&format!("build {BUILD}"))?.args(&options.target))?;
    let chosen = |target: &&str| options.target.as_deref().is_none_or(|only| only == *target);
    for target in TARGETS.into_iter().filter(chosen) {
        // New inputs are kept for the next run, apart from the committed ones.
        let new = format!("fuzz/target/corpus/{target}");
        fs::create_dir_all(root().join(&new))?;
        let limits = format!("-max_total_time={} {LIMITS}", options.seconds.unwrap_or(30));
        run(&mut tools::FUZZ
            .command(&format!("run {BUILD} {target} {new} fuzz/corpus/{target} -- {limits}"))?)?;
    }
    Ok(())
}
