//! The tasks that a person runs.

use std::{ffi::OsString, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{
    metadata::Metadata,
    run::{cargo, run, run_and_keep},
};

/// All tests, doc tests and examples. A kind of which there is none is a failure too.
pub(crate) fn test() -> Result<()> {
    // Some tests run examples as programs of their own.
    run(&mut cargo("build --workspace --all-features --examples"))?;
    let tests = run_and_keep(&mut cargo("test --workspace --all-features --lib --bins --tests --examples"))?;
    ensure!(passed(&tests) > 0, "no test was found");
    let doc_tests = run_and_keep(&mut cargo("test --workspace --all-features --doc"))?;
    ensure!(passed(&doc_tests) > 0, "no doc test was found");
    let examples = Metadata::load()?.examples();
    ensure!(examples.iter().any(|(package, _)| package == "ksm-storage"), "no example was found");
    // Those for AWS need a service to talk to: the tests in `tests/aws.rs` run them, against the emulator.
    let alone =
        |(package, example): &(String, String)| package == "ksm-storage" && !example.starts_with("aws_");
    for (package, example) in examples.into_iter().filter(alone) {
        run(&mut cargo(&format!("run --quiet --package {package} --all-features --example {example}")))?;
    }
    Ok(())
}

/// `--release` is for cargo, the rest for the runner.
pub(crate) fn conformance(args: &[OsString]) -> Result<()> {
    let (optimised, args): (Vec<_>, Vec<_>) = args.iter().partition(|arg| *arg == "--release");
    let mut runner = cargo("run --quiet --package conformance");
    runner.args(optimised).arg("--").args(args);
    run(&mut runner)
}

/// Core's races under a scheduler explorer, with a budget and a seed that are fixed. `args` are names of tests.
pub(crate) fn schedules(args: &[OsString]) -> Result<()> {
    let mut tests = explored("test --package ksm-storage-core --lib");
    tests.arg("--");
    if args.is_empty() {
        tests.arg("schedules::")
    } else {
        tests.args(args)
    };
    let output = run_and_keep(&mut tests).context(
        "the seed is fixed, so the same schedules fail again; one of them alone: \
         SCHEDULE='what was printed as the failing schedule' cargo xtask schedules NAME_OF_THE_TEST",
    )?;
    ensure!(passed(&output) > 0, "no test was found");
    Ok(())
}

/// A `cargo` command on what [`schedules`] runs, in a folder of its own: the flag would throw away an ordinary build.
pub(crate) fn explored(words: &str) -> Command {
    let mut command = cargo(&format!("{words} --target-dir target/schedules"));
    command.env("RUSTFLAGS", "--cfg shuttle");
    command
}

pub(crate) fn demo(args: &[OsString]) -> Result<()> {
    let mut demo = cargo("run --quiet --package ksm-storage --features aws,sdk --example demo --");
    if args.is_empty() {
        // Stand-ins are on this machine, whatever the SDK is told elsewhere; cargo itself may need the proxy.
        let direct = [std::env::var("NO_PROXY").unwrap_or_default(), "127.0.0.1".to_owned()].join(",");
        demo.env_remove("KSM_HOSTNAME").env("NO_PROXY", direct);
    }
    run(demo.args(args))
}

/// How many tests passed, by the closing lines of `cargo test`: `test result: ok. 3 passed; ...`.
pub(crate) fn passed(output: &str) -> u64 {
    let closing = output.lines().filter_map(|line| line.strip_prefix("test result: "));
    let counts =
        closing.filter_map(|line| line.split_once(" passed")?.0.rsplit(' ').next()?.parse::<u64>().ok());
    counts.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_tests_are_added_up() {
        let output = "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored\n\nrunning 12 tests\n\
                      test result: ok. 12 passed; 0 failed\ntest result: ok. 3 passed; 0 failed\n";
        assert_eq!(passed(output), 15);
        assert_eq!(passed("test result: ok. 0 passed; 0 failed; 4 ignored"), 0);
        assert_eq!(passed(""), 0);
    }
}
