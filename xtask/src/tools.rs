//! Tools that CI needs, installed beside cargo if the pinned version is not there.

use anyhow::Result;

use crate::run::{cargo, output, run, say};

pub(crate) struct Tool {
    /// The package, which is also the program: `cargo-NAME`.
    package: &'static str,
    version: &'static str,
}

pub(crate) const DENY: Tool = Tool { package: "cargo-deny", version: "0.20.2" };
pub(crate) const MACHETE: Tool = Tool { package: "cargo-machete", version: "0.9.2" };

impl Tool {
    pub(crate) fn install(&self) -> Result<()> {
        let Self { package, version } = self;
        let program = package.trim_start_matches("cargo-");
        let found = output(cargo(program).arg("--version")).unwrap_or_default();
        if found.split_whitespace().any(|word| word == *version) {
            return Ok(());
        }
        say(&format!("installing {package} {version}, which takes some minutes"));
        // Unoptimised code is compiled in half the time, and fast enough for what it is used for here.
        run(&mut cargo(&format!("install --locked --debug --version {version} {package}")))
    }
}
