//! The Python package, as a wheel that is installed.

use std::process::Command;

use anyhow::{Error, Result};

use crate::{
    run::{root, run},
    tools::installation,
};

const REQUIREMENTS: &str = concat!(
    include_str!("../python/requirements.txt"),
    include_str!("../../crates/ksm-storage-python/tests/requirements.txt")
);

/// Runs `check.py` of the package with these arguments.
pub(crate) fn python(args: &[String]) -> Result<()> {
    let python = installation(|| python_peers::environment("python-package", REQUIREMENTS));
    let script = "crates/ksm-storage-python/check.py";
    run(Command::new(python.map_err(Error::msg)?).current_dir(root()).arg(script).args(args))
}
