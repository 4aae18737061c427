//! Tests, conformance, schedules and the demo.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use clap::Args;

use crate::run::{cargo, output, root, run, say, target};

const TEST: &str = "test --workspace --all-features";
const CHAOS: &str = "acknowledged_changes_survive";

/// Runs all tests, doctests and examples. Skips backends that cannot be tested here, with a warning.
pub(crate) fn test() -> Result<()> {
    run(&mut cargo(TEST))
}

/// Like [`test()`], but fails if a backend cannot be tested, and goes on after a failure. Meanwhile, chaos runs for two
/// minutes, most of which it waits.
pub(crate) fn test_all() -> Result<()> {
    // Afterwards, neither waits for the other to compile.
    run(&mut cargo(&format!("{TEST} --no-run")))?;
    let mut chaos = cargo(&format!("{TEST} --test chaos -- --exact {CHAOS} --nocapture"));
    chaos.env("KSM_CHAOS_SECONDS", "120");
    let mut tests = cargo(&format!("{TEST} --no-fail-fast"));
    tests.env("KSM_CONFORMANCE_REQUIRE_ALL", "1");
    let chaos = chaos.stdout(Stdio::piped()).spawn()?;
    let tests = run(&mut tests);
    let chaos = chaos.wait_with_output()?;
    say(&String::from_utf8_lossy(&chaos.stdout));
    ensure!(chaos.status.success(), "two minutes of chaos failed: {}", chaos.status);
    tests
}

#[derive(Args)]
pub(crate) struct Conformance {
    /// Run only the cases whose names contain this text, such as `aws-moto::`; or, after `--`, an option such as `--list`
    arguments: Vec<String>,
    /// Build and test only the backends of this crate
    #[arg(long, value_name = "NAME", value_parser = parse_crate)]
    backend: Option<String>,
    /// Test the suite itself on faulty implementations, each of which a case must catch
    #[arg(long, conflicts_with = "histories")]
    broken: bool,
    /// Check about this many random concurrent programs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    histories: Option<u32>,
}

/// Parses the name of a backend's crate.
pub(crate) fn parse_crate(name: &str) -> Result<String> {
    let exists = root().join(format!("crates/ksm-storage-{name}/tests/conformance.rs")).exists();
    ensure!(exists, "there is no such backend: expected a name such as `memory`, `file` or `aws`");
    Ok(name.to_owned())
}

pub(crate) fn conformance(options: &Conformance) -> Result<()> {
    let mut command = match options.backend.as_deref() {
        None => cargo(&format!("{TEST} --test matrix")),
        Some(name) => {
            let feature = if name == "aws" { "aws,testing" } else { name };
            cargo(&format!(
                "test --package ksm-storage --no-default-features --features {feature} --test matrix"
            ))
        }
    };
    command.envs(options.broken.then_some(("KSM_CONFORMANCE_BROKEN", "1")));
    command.envs(options.histories.map(|count| ("KSM_CONFORMANCE_HISTORIES", count.to_string())));
    run(command.arg("--").args(&options.arguments))
}

#[derive(Args)]
pub(crate) struct Chaos {
    /// Minutes to run; the last calls take some seconds more
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,
    /// Seed of the faults [default: random]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Concurrency mode of the writers; `mixed` runs both
    #[arg(long, default_value = "mixed", value_parser = ["optimistic", "strict", "mixed"])]
    mode: String,
    /// Add a foreign writer, and report losses explained by it separately
    #[arg(long)]
    foreign: bool,
}

pub(crate) fn chaos(options: &Chaos) -> Result<()> {
    let mut command = cargo(&format!("{TEST} --test chaos"));
    command.args(["--", "--exact", CHAOS, "--nocapture"]);
    command.env("KSM_CHAOS_SECONDS", (options.minutes * 60).to_string()).env("KSM_CHAOS_MODE", &options.mode);
    command.envs(options.seed.map(|seed| ("KSM_CHAOS_SEED", seed.to_string())));
    run(command.envs(options.foreign.then_some(("KSM_CHAOS_FOREIGN", "1"))))
}

/// Runs core's tests under a scheduler that explores interleavings.
pub(crate) fn schedules(tests: &[String]) -> Result<()> {
    let mut command = explored("test --package ksm-storage-core --lib");
    run(command.arg("--").args(tests).args(tests.is_empty().then_some("schedules::")))
}

/// Counts instructions, which unlike times are reproducible. Returns the reason if they could not be compared.
pub(crate) fn instructions() -> Result<Option<String>> {
    let printed = output(&mut cargo("bench --package performance --bench instructions"))?;
    say(&printed);
    Ok(printed.lines().find_map(|line| line.strip_prefix("left out: ")).map(str::to_owned))
}

pub(crate) fn schedules_clippy() -> Result<()> {
    run(&mut explored("clippy --package ksm-storage-core --all-targets"))
}

/// A `cargo` command for core under the scheduler, with its own target folder, because its flag changes every crate.
fn explored(words: &str) -> Command {
    let mut command = cargo(&format!("{words} --target-dir target/schedules"));
    command.env("RUSTFLAGS", "--cfg shuttle -D warnings");
    command
}

/// Runs the demo. `examples/demo` and `ksm-storage` must be built in the same target folder.
pub(crate) fn demo() -> Result<()> {
    run(&mut cargo("build --quiet --package ksm-storage-cli --bins --examples"))?;
    run(&mut Command::new(target()?.join("debug/examples/demo")))
}

/// Writes the command's man pages.
pub(crate) fn man() -> Result<()> {
    run(&mut cargo("run --quiet --package ksm-storage-cli --example man target/man"))
}
