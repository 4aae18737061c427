//! Python scripts, each with its pinned packages.

use std::process::Command;

use anyhow::{Error, Result};

use crate::{
    run::{command, program, run},
    tools::installation,
};

const DEPLOY: &str = include_str!("../../deploy/requirements.txt");
const LAYER: &str = include_str!("../../deploy/lambda-layer/requirements.txt");
const PACKAGE: &str = concat!(
    include_str!("../python/requirements.txt"),
    include_str!("../../crates/ksm-storage-python/tests/requirements.txt")
);

/// Runs a script in the named environment.
fn script(environment: &str, requirements: &str, script: &str, args: &[String]) -> Result<()> {
    let python = installation(|| python_peers::environment(environment, requirements));
    run(program(python.map_err(Error::msg)?).arg(script).args(args))
}

/// Runs the Python package's `check.py`, which tests the installed wheel.
pub(crate) fn python(args: &[String]) -> Result<()> {
    script("python-package", PACKAGE, "crates/ksm-storage-python/check.py", args)
}

/// Builds the Lambda layer.
pub(crate) fn layer() -> Result<()> {
    script("zig-python", LAYER, "deploy/lambda-layer/build.py", &[])
}

/// Checks `deploy/` as far as possible without an AWS account. Returns the check that was skipped, if any: Terraform is
/// in no registry.
pub(crate) fn deploy() -> Result<Option<String>> {
    script("deploy-python", DEPLOY, "deploy/check.py", &[])?;
    if Command::new("terraform").arg("version").output().is_err() {
        return Ok(Some("terraform fmt did not run: terraform is not installed".to_owned()));
    }
    run(&mut command("terraform fmt -check -diff -recursive deploy/terraform"))?;
    Ok(None)
}
