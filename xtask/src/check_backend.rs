//! `cargo xtask check-backend`: all checks of one backend.

use std::fs;

use anyhow::Result;

use crate::{
    ci::{line, run_steps},
    run::{cargo, clone, run},
};

pub(crate) fn check_backend(name: &str) -> Result<()> {
    let package = format!("ksm-storage-{name}");
    let facade = format!("--package ksm-storage --no-default-features --features {name}");
    let steps = vec![
        line("fmt", format!("fmt --package {package} -- --check")),
        line("clippy", format!("clippy --package {package} --all-targets --all-features -- -D warnings")),
        line("rustdoc", format!("doc --package {package} --no-deps --all-features")),
        line("test", format!("test --package {package} --all-features")),
        line("conformance", format!("xtask conformance --backend {name}")),
        line("documents", format!("test {facade} --test documents")),
    ];
    run_steps(steps, &[])
}

/// Creates and checks a backend in a clone of the last commit.
pub(crate) fn check_new_backend() -> Result<()> {
    let clone = clone("new-backend")?;
    for task in ["new-backend", "check-backend"] {
        let mut command = cargo(&format!("xtask {task} made-by-ci"));
        run(command.current_dir(&clone).env_remove("CARGO_TARGET_DIR"))?;
    }
    Ok(fs::remove_dir_all(&clone)?)
}
