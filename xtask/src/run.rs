//! Commands that run in the workspace's root folder.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The workspace's root folder.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// The target folder, wherever it is. This program is `target/debug/xtask`.
pub(crate) fn target() -> Result<PathBuf> {
    Ok(env::current_exe()?.ancestors().nth(2).context("no target folder")?.to_owned())
}

/// A command in the root folder. `line` is the program and its arguments, separated by white space.
pub(crate) fn command(line: &str) -> Command {
    let mut words = line.split_whitespace();
    let mut command = program(words.next().unwrap_or_default());
    command.args(words);
    command
}

/// A program in the root folder, without the variables by which cargo describes this one. They would make cargo compile ring
/// and its dependents again, and `cargo machete` mistake its own name for a folder.
pub(crate) fn program(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let own = ["CARGO_PKG_", "CARGO_MANIFEST_"];
    for (name, _) in env::vars_os() {
        if own.iter().any(|own| name.as_encoded_bytes().starts_with(own.as_bytes())) {
            command.env_remove(name);
        }
    }
    command.current_dir(root());
    command
}

pub(crate) fn cargo(words: &str) -> Command {
    command(&format!("cargo {words}"))
}

/// A clone of the last commit, in the target folder.
pub(crate) fn clone(name: &str) -> Result<PathBuf> {
    let clone = target()?.join(name);
    let _ = fs::remove_dir_all(&clone);
    run(command("git clone --quiet .").arg(&clone))?;
    Ok(clone)
}

/// Prints and runs the command, which inherits standard output and error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    say(&format!("$ {}", line(command)));
    let status = command.status().with_context(|| line(command))?;
    succeeded(command, status)
}

/// Runs the command silently, and returns its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| line(command))?;
    succeeded(command, output.status)?;
    Ok(String::from_utf8(output.stdout)?)
}

/// Prints a line.
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// The published packages of this workspace.
pub(crate) fn published() -> Result<Vec<Value>> {
    let mut packages = packages("--no-deps")?;
    packages.retain(|package| package["publish"] != Value::Array(Vec::new()));
    Ok(packages)
}

/// Packages from `cargo metadata`. Fails if the lock file is out of date.
pub(crate) fn packages(which: &str) -> Result<Vec<Value>> {
    let metadata = output(&mut cargo(&format!("metadata --format-version 1 --locked {which}")))?;
    let mut metadata: Value = serde_json::from_str(&metadata)?;
    Ok(serde_json::from_value(metadata["packages"].take())?)
}

fn succeeded(command: &Command, status: ExitStatus) -> Result<()> {
    if status.success() { Ok(()) } else { bail!("`{}` failed: {status}", line(command)) }
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
