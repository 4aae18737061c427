//! Python scripts, each with its pinned packages.

use std::process::Command;

use anyhow::{Error, Result};

use crate::run::{command, program, run};

/// A virtual environment below the target folder: its name and its packages.
type Environment = (&'static str, &'static str);

const DEPLOY: Environment = ("deploy-python", include_str!("../../deploy/requirements.txt"));
const LAYER: Environment = ("zig-python", include_str!("../../deploy/lambda-layer/requirements.txt"));
const PACKAGE: Environment = (
    "python-package",
    concat!(
        include_str!("../python/requirements.txt"),
        include_str!("../../crates/ksm-storage-python/tests/requirements.txt")
    ),
);

fn script((name, requirements): Environment, script: &str, args: &[String]) -> Result<()> {
    let python = python_peers::environment(name, requirements).map_err(Error::msg)?;
    run(program(python).arg(script).args(args))
}

/// Runs the Python package's `check.py`, which tests the installed wheel.
pub(crate) fn python(args: &[String]) -> Result<()> {
    script(PACKAGE, "crates/ksm-storage-python/check.py", args)
}

/// Builds the Lambda layer.
pub(crate) fn layer() -> Result<()> {
    script(LAYER, "deploy/lambda-layer/build.py", &[])
}

/// Checks `deploy/` as far as possible without an AWS account. Returns the check that was skipped, if any: Terraform is
/// in no registry.
pub(crate) fn deploy() -> Result<Option<String>> {
    script(DEPLOY, "deploy/check.py", &[])?;
    if Command::new("terraform").arg("version").output().is_err() {
        return Ok(Some("terraform fmt did not run: terraform is not installed".to_owned()));
    }
    run(&mut command("terraform fmt -check -diff -recursive deploy/terraform"))?;
    Ok(None)
}
