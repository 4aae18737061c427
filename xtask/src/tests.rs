//! Tests, conformance, schedules and the demo.

use std::{path::Path, process::Command, thread};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use serde_json::Value;

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
    let mut chaos = built("chaos")?;
    chaos.args(["--exact", CHAOS, "--nocapture"]).env("KSM_CHAOS_SECONDS", "120");
    let mut tests = cargo(&format!("{TEST} --no-fail-fast"));
    tests.env("KSM_CONFORMANCE_REQUIRE_ALL", "1");
    thread::scope(|scope| {
        let chaos = scope.spawn(move || chaos.output());
        let tests = run(&mut tests);
        let chaos = chaos.join().map_err(|_| anyhow!("chaos panicked"))??;
        say(&String::from_utf8_lossy(&chaos.stdout));
        tests?;
        ensure!(chaos.status.success(), "two minutes of chaos failed: {}", chaos.status);
        Ok(())
    })
}

#[derive(Args, Default)]
pub(crate) struct Conformance {
    /// Run only the cases whose names contain this text, such as `aws-moto::`
    filter: Option<String>,
    /// Build and test only the backends of this crate
    #[arg(long, value_name = "NAME", value_parser = parse_crate)]
    backend: Option<String>,
    /// Test the suite itself on faulty implementations, each of which a case must catch
    #[arg(long, conflicts_with = "histories")]
    broken: bool,
    /// Check about this many random concurrent programs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    histories: Option<u32>,
    /// List the cases instead of running them
    #[arg(long)]
    list: bool,
    /// Fail if a backend cannot be tested here, such as an emulator that needs Python
    #[arg(long)]
    require_all: bool,
}

/// Parses the name of a backend's crate.
pub(crate) fn parse_crate(name: &str) -> Result<String> {
    let exists = root().join(format!("crates/ksm-storage-{name}/tests/conformance.rs")).exists();
    ensure!(exists, "there is no such backend: expected a name such as `memory`, `file` or `aws`");
    Ok(name.to_owned())
}

impl Conformance {
    pub(crate) fn of(backend: String) -> Self {
        Self { backend: Some(backend), ..Self::default() }
    }
}

pub(crate) fn conformance(options: &Conformance) -> Result<()> {
    let features = match options.backend.as_deref() {
        Some("aws") => "aws,testing",
        Some(feature) => feature,
        None => "aws,file,memory,testing",
    };
    let mut command = cargo("test --quiet --package ksm-storage --no-default-features --test conformance");
    command.envs(options.broken.then_some(("KSM_CONFORMANCE_BROKEN", "1")));
    command.envs(options.require_all.then_some(("KSM_CONFORMANCE_REQUIRE_ALL", "1")));
    command.envs(options.histories.map(|count| ("KSM_CONFORMANCE_HISTORIES", count.to_string())));
    command.args(["--features", features, "--"]).args(&options.filter);
    run(command.args(options.list.then_some("--list")))
}

/// Runs another mode of the conformance suite.
pub(crate) fn conformance_again(variable: &str, value: &str) -> Result<()> {
    run(built("conformance")?.env(format!("KSM_CONFORMANCE_{variable}"), value))
}

/// A test program of the facade as [`test()`] builds it: other features would rebuild all.
fn built(test: &str) -> Result<Command> {
    let built = output(&mut cargo(&format!("{TEST} --test {test} --no-run --message-format json")))?;
    let facade = root().join("crates/ksm-storage");
    let program = built.lines().find_map(|line| {
        let built: Value = serde_json::from_str(line).ok()?;
        let own = Path::new(built["manifest_path"].as_str()?).parent() == Some(&facade);
        built["executable"].as_str().filter(|_| own).map(str::to_owned)
    });
    let mut command = Command::new(program.with_context(|| format!("ksm-storage has no test {test}"))?);
    command.current_dir(&facade).env("CARGO_MANIFEST_DIR", &facade);
    Ok(command)
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
