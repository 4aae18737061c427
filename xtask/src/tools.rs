//! The cargo subcommands that tasks use. They are installed below `target/tools`, not for the user.

use std::{
    env::consts::EXE_SUFFIX,
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::run::{cargo, run, say, target};

pub(crate) struct Tool {
    /// The package and program name: `cargo-NAME`, or that of a standalone program.
    package: &'static str,
    version: &'static str,
}

pub(crate) const BOOK: Tool = tool("mdbook", "0.5.4");
pub(crate) const DENY: Tool = tool("cargo-deny", "0.20.2");
pub(crate) const FUZZ: Tool = tool("cargo-fuzz", "0.13.2");
pub(crate) const HACK: Tool = tool("cargo-hack", "0.6.46");
pub(crate) const MACHETE: Tool = tool("cargo-machete", "0.9.2");
pub(crate) const MUTANTS: Tool = tool("cargo-mutants", "27.1.0");
/// The newest version that reads the JSON of Rust 1.95's rustdoc (format 57).
pub(crate) const PUBLIC_API: Tool = tool("cargo-public-api", "0.52.0");

const fn tool(package: &'static str, version: &'static str) -> Tool {
    Tool { package, version }
}

static MILLISECONDS: AtomicU64 = AtomicU64::new(0);

/// The time spent on installations since the last call.
pub(crate) fn installing() -> Duration {
    Duration::from_millis(MILLISECONDS.swap(0, Ordering::Relaxed))
}

/// Runs an installation, and counts its time for [`installing`].
pub(crate) fn installation<T>(install: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = install();
    let milliseconds = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    MILLISECONDS.fetch_add(milliseconds, Ordering::Relaxed);
    result
}

impl Tool {
    /// A command for the tool, with these words (separated by white space) as arguments.
    pub(crate) fn command(&self, words: &str) -> Result<Command> {
        let Self { package, version } = self;
        let folder = target()?.join("tools");
        let program = folder.join("bin").join(format!("{package}{EXE_SUFFIX}"));
        // Runs the program directly, as cargo would. Cargo itself would first search for other installations.
        let start = |words: &str| {
            let mut tool = crate::run::program(&program);
            tool.args(package.strip_prefix("cargo-")).args(words.split_whitespace());
            tool
        };
        let installed = start("--version").output();
        let installed = installed.is_ok_and(|shown| String::from_utf8_lossy(&shown.stdout).contains(version));
        if !installed {
            say(&format!("installing {package} {version} below target/tools, which takes some minutes"));
            // Unoptimized tools compile in half the time, and are fast enough.
            let mut command =
                cargo(&format!("install --locked --debug --version {version} {package} --root"));
            installation(|| run(command.arg(&folder).env_remove("CARGO_TARGET_DIR")))?;
        }
        Ok(start(words))
    }
}
