//! `cargo xtask check-backend`: all checks of one backend.

use std::fs;

use anyhow::{Context, Result};

use crate::{
    ci::{line, run_steps, step},
    run::{cargo, command, run, target},
    tests,
};

pub(crate) fn check_backend(name: &str) -> Result<()> {
    let package = format!("ksm-storage-{name}");
    let backend = name.to_owned();
    let facade = format!("--package ksm-storage --no-default-features --features {name}");
    run_steps(vec![
        line("fmt", format!("fmt --package {package} -- --check")),
        line("clippy", format!("clippy --package {package} --all-targets --all-features -- -D warnings")),
        line("rustdoc", format!("doc --package {package} --no-deps --all-features")),
        line("test", format!("test --package {package} --all-features")),
        step("conformance", || tests::conformance(&tests::Conformance::of(backend))),
        line("documents", format!("test {facade} --test documents")),
    ])
}

/// Creates and checks a backend in a clone of the last commit.
pub(crate) fn check_new_backend() -> Result<()> {
    let clone = target()?.join("new-backend");
    if clone.exists() {
        fs::remove_dir_all(&clone).context("cannot remove the clone of an earlier run")?;
    }
    run(command("git clone --quiet .").arg(&clone))?;
    for task in ["new-backend", "check-backend"] {
        let mut command = cargo(&format!("xtask {task} made-by-ci"));
        run(command.current_dir(&clone).env_remove("CARGO_TARGET_DIR"))?;
    }
    Ok(fs::remove_dir_all(&clone)?)
}
