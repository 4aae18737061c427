//! What `cargo xtask new-backend` makes is sound, and not yet a backend.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{
    new_backend::{self, Name},
    run::{output, root, run, say},
};

/// No backend of this name will ever be wanted.
const NAME: &str = "made-by-ci";
/// Cases that ask for nothing but that a load of an empty store creates nothing, or that fail the load themselves.
const PASS_WITHOUT_IMPLEMENTATION: [&str; 3] =
    ["c01_a_failed_load_stays_an_error", "c12_a_load_creates_nothing", "c12_opening_creates_nothing"];

/// The template's error, and what cases say that look at its kind alone.
const NOT_IMPLEMENTED: [&str; 2] = ["the backend is not implemented yet", "fails as Unsupported"];

/// In a copy of the workspace: the crate made from the template is formatted, has no lint, its documentation tests pass,
/// and of its tests all those of the suite fail that need a backend, because it is not implemented.
pub(crate) fn check() -> Result<()> {
    let target = target_directory()?;
    let copy = Path::new(&target).join("new-backend");
    // What an earlier run may have left there.
    let _ = fs::remove_dir_all(&copy);
    copy_workspace(&copy)?;
    let name: Name = NAME.parse()?;
    new_backend::create(&copy, &name)?;
    let again = new_backend::create(&copy, &name);
    ensure!(again.is_err(), "a crate that exists was made again");

    let cargo = |words: &str| {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(&copy).args(words.split_whitespace()).args(["--package", &name.package()]);
        // What others have compiled need not be compiled again, but for the crates of the workspace.
        cargo.env("CARGO_TARGET_DIR", &target).env_remove("CARGO_PKG_NAME");
        cargo
    };
    run(cargo("fmt").args(["--", "--check"]))?;
    run(cargo("clippy --quiet --all-targets").args(["--", "-D", "warnings"]))?;
    run(cargo("doc --quiet --no-deps").env("RUSTDOCFLAGS", "-D warnings"))?;
    run(&mut cargo("test --quiet --doc"))?;
    run(&mut cargo("test --quiet --lib"))?;
    run(&mut cargo("test --quiet --no-run --test conformance"))?;
    let tests = cargo("test --no-fail-fast --test conformance").output()?;
    let result = judge(&String::from_utf8_lossy(&tests.stdout));
    fs::remove_dir_all(&copy)?;
    result
}

fn target_directory() -> Result<String> {
    let metadata = output(Command::new("cargo").current_dir(root()).args([
        "metadata",
        "--locked",
        "--no-deps",
        "--format-version",
        "1",
    ]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    Ok(metadata["target_directory"].as_str().context("cargo names no target directory")?.to_owned())
}

/// All files that git knows of or would ask about.
fn copy_workspace(to: &Path) -> Result<()> {
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"];
    let files = output(Command::new("git").current_dir(root()).args(list))?;
    for file in files.split_terminator('\0') {
        let (from, to) = (root().join(file), to.join(file));
        if !from.exists() {
            continue; // deleted, and not yet committed
        }
        fs::create_dir_all(to.parent().unwrap_or(&to))?;
        fs::copy(&from, &to).with_context(|| format!("{} cannot be copied", from.display()))?;
    }
    Ok(())
}

/// Looks at the lines that the test harness prints of each test.
fn judge(output: &str) -> Result<()> {
    let outcomes = |outcome: &str| {
        let ending = format!(" ... {outcome}");
        output
            .lines()
            .filter_map(|line| line.strip_prefix("test ")?.strip_suffix(&ending))
            .collect::<Vec<_>>()
    };
    let (failed, passed) = (outcomes("FAILED"), outcomes("ok"));
    let unexpected: Vec<_> = passed
        .iter()
        .filter(|test| !PASS_WITHOUT_IMPLEMENTATION.iter().any(|case| test.ends_with(case)))
        .collect();
    let told: usize = NOT_IMPLEMENTED.map(|reason| output.matches(reason).count()).iter().sum();
    say(&format!("{} conformance tests fail, {} pass", failed.len(), passed.len()));
    ensure!(failed.len() > 50, "too few conformance tests failed: {}", failed.len());
    ensure!(
        told >= failed.len(),
        "{told} of {} failures say that the backend is not implemented",
        failed.len()
    );
    ensure!(unexpected.is_empty(), "these passed without a backend: {unexpected:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_passes_or_fails_for_another_reason_is_found() {
        let report = |failed: usize, reason: &str, passed: &[&str]| {
            let failed = (0..failed).map(|n| format!("test on_async_core::c{n} ... FAILED\n{reason}\n"));
            let passed = passed.iter().map(|case| format!("test on_async_core::{case} ... ok\n"));
            failed.chain(passed).collect::<String>()
        };
        let reason = "unsupported: the backend is not implemented yet";
        assert!(judge(&report(60, reason, &PASS_WITHOUT_IMPLEMENTATION)).is_ok());
        assert!(judge(&report(60, reason, &["c06_one_store_per_version_is_committed"])).is_err());
        assert!(judge(&report(60, "it panicked", &[])).is_err());
        assert!(judge(&report(3, reason, &[])).is_err());
        assert!(judge("").is_err());
    }
}
