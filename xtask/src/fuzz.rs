//! Fuzzing on the stable toolchain, with coverage and debug assertions. Sanitizers would need a nightly toolchain.

use std::fs;

use anyhow::Result;
use clap::{Args, builder::PossibleValuesParser};

use crate::{
    run::{root, run},
    tools,
};

#[derive(Args)]
pub(crate) struct Options {
    /// Seconds to run each target
    #[arg(long, default_value = "30", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Targets to run
    #[arg(value_name = "TARGET", value_parser = PossibleValuesParser::new(TARGETS), default_values = TARGETS)]
    targets: Vec<String>,
}

const TARGETS: [&str; 4] = ["document", "framing", "request", "secret_id"];

const BUILD: &str = "--sanitizer none --dev";
/// Limits of libFuzzer. Longer inputs would exercise the same code.
const LIMITS: &str = "-max_len=8192 -timeout=20 -rss_limit_mb=2048";

/// Runs the targets on the committed inputs and on mutations of them. cargo-fuzz prints how to reproduce a failure.
pub(crate) fn fuzz(options: &Options) -> Result<()> {
    for target in &options.targets {
        // New inputs are kept for the next run, apart from the committed ones.
        let new = format!("fuzz/target/corpus/{target}");
        fs::create_dir_all(root().join(&new))?;
        let limits = format!("-max_total_time={} {LIMITS}", options.seconds);
        run(&mut tools::FUZZ
            .command(&format!("run {BUILD} {target} {new} fuzz/corpus/{target} -- {limits}"))?)?;
    }
    Ok(())
}
