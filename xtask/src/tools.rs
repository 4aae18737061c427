//! The cargo subcommands that tasks use. They are installed below `target/tools`, not for the user.

use std::{env::consts::EXE_SUFFIX, fs, process::Command};

use anyhow::Result;

use crate::run::{cargo, run, say, target};

/// The package and program name, `cargo-NAME` or that of a standalone program, and the version.
pub(crate) struct Tool(&'static str, &'static str);

pub(crate) const AUDITABLE: Tool = Tool("cargo-auditable", "0.7.7");
pub(crate) const BOOK: Tool = Tool("mdbook", "0.5.4");
pub(crate) const CYCLONEDX: Tool = Tool("cargo-cyclonedx", "0.5.9");
pub(crate) const DENY: Tool = Tool("cargo-deny", "0.20.2");
pub(crate) const FUZZ: Tool = Tool("cargo-fuzz", "0.13.2");
pub(crate) const HACK: Tool = Tool("cargo-hack", "0.6.46");
pub(crate) const MACHETE: Tool = Tool("cargo-machete", "0.9.2");
pub(crate) const MUTANTS: Tool = Tool("cargo-mutants", "27.1.0");
/// The newest version that reads the JSON of Rust 1.95's rustdoc (format 57).
pub(crate) const PUBLIC_API: Tool = Tool("cargo-public-api", "0.52.0");
pub(crate) const SEMVER_CHECKS: Tool = Tool("cargo-semver-checks", "0.51.0");

/// Installs the tools before they are used, where the time that it takes is seen.
pub(crate) fn install(tools: &[Tool]) -> Result<()> {
    tools.iter().try_for_each(|tool| tool.command("").map(drop))
}

impl Tool {
    /// A command for the tool, with these words (separated by white space) as arguments.
    pub(crate) fn command(&self, words: &str) -> Result<Command> {
        let Self(package, version) = self;
        let folder = target()?.join("tools");
        let program = folder.join("bin").join(format!("{package}{EXE_SUFFIX}"));
        // The list that `cargo install` keeps. A program may have been deleted since.
        let list = fs::read_to_string(folder.join(".crates.toml")).unwrap_or_default();
        if !program.exists() || !list.contains(&format!("\"{package} {version} ")) {
            say(&format!("installing {package} {version} below target/tools, which takes some minutes"));
            // Unoptimized tools compile in half the time, and are fast enough.
            let mut command =
                cargo(&format!("install --force --locked --debug --version {version} {package} --root"));
            run(command.arg(&folder).env_remove("CARGO_TARGET_DIR"))?;
        }
        // Runs the program directly, as cargo would. Cargo itself would first search for other installations.
        let mut tool = crate::run::program(&program);
        tool.args(package.strip_prefix("cargo-")).args(words.split_whitespace());
        Ok(tool)
    }
}
