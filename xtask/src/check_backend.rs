//! `cargo xtask check-backend`: every check that concerns one backend.

use std::{fs, io, path::Path, process::Command};

use anyhow::{Context, Result};

use crate::{
    ci::{line, run_steps, step},
    run::{command, output, root, run, target},
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

/// In a copy of the workspace, creates a backend and checks it.
pub(crate) fn check_new_backend() -> Result<()> {
    let copy = target()?.join("new-backend");
    if copy.exists() {
        fs::remove_dir_all(&copy).context("cannot remove the copy of an earlier run")?;
    }
    let files = output(&mut command("git ls-files -z --cached --others --exclude-standard --deduplicate"))?;
    // A deleted file is still listed until the deletion is committed.
    for file in files.split_terminator('\0').filter(|file| root().join(file).exists()) {
        let to = copy.join(file);
        fs::create_dir_all(to.parent().unwrap_or(&copy))?;
        copy_file(&root().join(file), &to).with_context(|| format!("cannot copy {file}"))?;
    }
    for task in ["new-backend", "check-backend"] {
        let mut command = Command::new("cargo");
        run(command.current_dir(&copy).args(["xtask", task, "made-by-ci"]).env_remove("CARGO_TARGET_DIR"))?;
    }
    fs::remove_dir_all(&copy)?;
    Ok(())
}

/// Copies a file; a link, which may lead to a folder, stays one.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Ok(target) = fs::read_link(from) {
        return std::os::unix::fs::symlink(target, to);
    }
    fs::copy(from, to).map(drop)
}
