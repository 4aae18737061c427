//! Running commands, in the workspace's root folder.

use std::{
    ffi::OsStr,
    io::{IsTerminal, stderr},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// The workspace's root folder.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// A `cargo` command with these words (separated by white space) as arguments.
pub(crate) fn cargo(words: &str) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root()).args(words.split_whitespace());
    command
}

/// Announces the command and runs it, its output going where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    say(&format!("$ {}", line(command)));
    let status = command.status().with_context(|| format!("`{}` cannot be started", line(command)))?;
    ensure!(status.success(), "`{}` failed: {status}", line(command));
    Ok(())
}

/// Runs the command and returns what it prints.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("`{}` cannot be started", line(command)))?;
    ensure!(output.status.success(), "`{}` failed: {}", line(command), output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// Prints a line of our own, bold on a terminal.
pub(crate) fn say(text: &str) {
    if stderr().is_terminal() {
        eprintln!("\u{1b}[1m{text}\u{1b}[0m");
    } else {
        eprintln!("{text}");
    }
}

fn line(command: &Command) -> String {
    let words: Vec<_> =
        std::iter::once(command.get_program()).chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    words.join(" ")
}
