//! Tools that CI needs. Where the pinned version is not there, it is installed below `target/tools`: what a user has
//! installed beside cargo stays as it is.

use std::{
    env::{self, consts::EXE_SUFFIX},
    process::{Command, Stdio},
};

use anyhow::Result;

use crate::run::{cargo, root, run, say, target};

pub(crate) struct Tool {
    /// The package, which is also the program: `cargo-NAME`.
    package: &'static str,
    version: &'static str,
}

pub(crate) const DENY: Tool = Tool { package: "cargo-deny", version: "0.20.2" };
pub(crate) const FUZZ: Tool = Tool { package: "cargo-fuzz", version: "0.13.2" };
pub(crate) const MACHETE: Tool = Tool { package: "cargo-machete", version: "0.9.2" };
pub(crate) const MUTANTS: Tool = Tool { package: "cargo-mutants", version: "27.1.0" };
/// The newest that reads what rustdoc of Rust 1.95 writes (format 57).
pub(crate) const PUBLIC_API: Tool = Tool { package: "cargo-public-api", version: "0.52.0" };

impl Tool {
    /// The tool in its pinned version, with these words (separated by white space) as arguments.
    pub(crate) fn command(&self, words: &str) -> Result<Command> {
        let Self { package, version } = self;
        let name = package.trim_start_matches("cargo-");
        if self.is_there(cargo(name)) {
            return Ok(cargo(&format!("{name} {words}")));
        }
        let folder = target()?.join("tools");
        let own = || {
            // As cargo starts it. Cargo itself would look elsewhere first.
            let mut own = Command::new(folder.join("bin").join(format!("{package}{EXE_SUFFIX}")));
            own.current_dir(root()).arg(name).env_remove("CARGO_PKG_NAME");
            own.env("CARGO", env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            own
        };
        if !self.is_there(own()) {
            say(&format!(
                "installing {package} {version} into {}, which takes some minutes",
                folder.display()
            ));
            // Unoptimised code is compiled in half the time or less, and fast enough for what it is used for here.
            let words = format!("install --locked --debug --version {version} {package} --root");
            let mut install = cargo(&words);
            // Built in a folder of its own, so that nothing of it stays in the workspace's.
            run(install.arg(&folder).env_remove("CARGO_TARGET_DIR"))?;
        }
        let mut command = own();
        command.args(words.split_whitespace());
        Ok(command)
    }

    fn is_there(&self, mut command: Command) -> bool {
        let output = command.arg("--version").stderr(Stdio::null()).output();
        output.is_ok_and(|output| {
            String::from_utf8_lossy(&output.stdout).split_whitespace().any(|word| word == self.version)
        })
    }
}
