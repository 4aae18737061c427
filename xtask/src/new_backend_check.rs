//! What `cargo xtask new-backend` makes is sound, and not yet a backend.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

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
    let listed = output(cargo("test --quiet --test conformance").args(["--", "--list"]))?;
    let tests = cargo("test --no-fail-fast --test conformance").output()?;
    let result = judge(&listed, &String::from_utf8_lossy(&tests.stdout));
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

/// Looks for each test that is listed at what the test harness shows of those that fail.
fn judge(listed: &str, output: &str) -> Result<()> {
    let shown: BTreeMap<_, _> =
        output.split("\n---- ").skip(1).filter_map(|part| part.split_once(" stdout ----\n")).collect();
    let (mut failed, mut wrong) = (0, Vec::new());
    let tests = listed.lines().filter_map(|line| line.strip_suffix(": test"));
    for test in tests.filter(|test| !PASS_WITHOUT_IMPLEMENTATION.iter().any(|case| test.ends_with(case))) {
        match shown.get(test) {
            Some(text) if NOT_IMPLEMENTED.iter().any(|reason| text.contains(reason)) => failed += 1,
            Some(_) => wrong.push(format!("{test} fails for another reason")),
            None => wrong.push(format!("{test} does not fail")),
        }
    }
    say(&format!("{failed} conformance tests fail for want of a backend"));
    ensure!(wrong.is_empty(), "without a backend, {}", wrong.join("; "));
    ensure!(failed > 0, "no conformance test was found");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_passes_or_fails_for_another_reason_is_found() {
        let listed = "on_async_core::a: test\non_async_core::b: test\n\
                      on_async_core::c12_opening_creates_nothing: test\n\n3 tests, 0 benchmarks\n";
        let section =
            |case: &str, reason: &str| format!("\n---- on_async_core::{case} stdout ----\n{reason}\n");
        let [reason, other] = NOT_IMPLEMENTED;
        assert!(judge(listed, &(section("a", reason) + &section("b", other))).is_ok());
        let error = judge(listed, &section("a", &[reason, other].join("\n"))).unwrap_err().to_string();
        assert!(error.contains("b does not fail"), "{error}");
        let output = section("a", &[reason, reason].join("\n")) + &section("b", "it panicked");
        let error = judge(listed, &output).unwrap_err().to_string();
        assert!(error.contains("b fails for another reason"), "{error}");
        assert!(judge("", "").is_err());
    }
}
