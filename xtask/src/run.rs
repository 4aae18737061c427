//! Running commands, in the workspace's root folder.

use std::{
    env,
    ffi::OsStr,
    fmt,
    io::{IsTerminal, Read, Write, stderr, stdout},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result};

/// A command that ran and did not succeed.
#[derive(Debug)]
pub(crate) struct Failed {
    line: String,
    pub(crate) status: ExitStatus,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` failed: {}", self.line, self.status)
    }
}

impl std::error::Error for Failed {}

/// The workspace's root folder.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// The folder of what is built: this program is `target/debug/xtask`, wherever `target` is.
pub(crate) fn target() -> Result<PathBuf> {
    Ok(env::current_exe()?.ancestors().nth(2).context("no target folder")?.to_owned())
}

/// A `cargo` command with these words (separated by white space) as arguments.
pub(crate) fn cargo(words: &str) -> Command {
    let mut command = Command::new("cargo");
    // With that variable, which `cargo xtask` sets, `cargo machete` takes its own name for a folder to look at.
    command.current_dir(root()).args(words.split_whitespace()).env_remove("CARGO_PKG_NAME");
    command
}

/// Announces the command and runs it, its output going where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    say(&format!("$ {}", line(command)));
    let status = command.status().with_context(|| cannot_start(command))?;
    succeeded(command, status)
}

/// Like [`run`], and also returns what the command printed on its standard output.
pub(crate) fn run_and_keep(command: &mut Command) -> Result<String> {
    say(&format!("$ {}", line(command)));
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| cannot_start(command))?;
    let mut kept = Vec::new();
    if let Some(mut pipe) = child.stdout.take() {
        let mut chunk = [0; 8192];
        loop {
            let read = pipe.read(&mut chunk)?;
            if read == 0 {
                break;
            }
            kept.extend_from_slice(&chunk[..read]);
            stdout().write_all(&chunk[..read])?;
            stdout().flush()?;
        }
    }
    succeeded(command, child.wait()?)?;
    Ok(String::from_utf8_lossy(&kept).into_owned())
}

/// Runs the command and returns what it prints.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| cannot_start(command))?;
    succeeded(command, output.status)?;
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

fn succeeded(command: &Command, status: ExitStatus) -> Result<()> {
    if status.success() { Ok(()) } else { Err(Failed { line: line(command), status }.into()) }
}

fn cannot_start(command: &Command) -> String {
    format!("`{}` cannot be started", line(command))
}

fn line(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect();
    words.join(" ")
}
