//! Tools that CI needs, installed beside cargo if the pinned version is not there.

use std::process::Stdio;

use anyhow::Result;

use crate::run::{cargo, run, say};

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
    pub(crate) fn install(&self) -> Result<()> {
        let Self { package, version } = self;
        let program = package.trim_start_matches("cargo-");
        let found = cargo(program).arg("--version").stderr(Stdio::null()).output()?.stdout;
        if String::from_utf8_lossy(&found).split_whitespace().any(|word| word == *version) {
            return Ok(());
        }
        say(&format!("installing {package} {version}, which takes some minutes"));
        // Unoptimised code is compiled in half the time or less, and fast enough for what it is used for here.
        let mut install = cargo(&format!("install --locked --debug --version {version} {package}"));
        // In a folder of its own, so that nothing of it stays in the workspace's.
        run(install.env_remove("CARGO_TARGET_DIR"))
    }
}
