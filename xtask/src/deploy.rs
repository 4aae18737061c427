//! Checks of `deploy/`, as far as they are possible without an account.

use std::process::Command;

use anyhow::{Error, Result};

use crate::{
    run::{command, root, run},
    tools::installation,
};

const REQUIREMENTS: &str = include_str!("../../deploy/requirements.txt");

/// Returns the check that was left out, if any: Terraform is not in a registry.
pub(crate) fn check() -> Result<Option<String>> {
    let python = installation(|| python_peers::environment("deploy-python", REQUIREMENTS));
    run(Command::new(python.map_err(Error::msg)?).current_dir(root()).arg("deploy/check.py"))?;
    if Command::new("terraform").arg("version").output().is_err() {
        return Ok(Some("terraform fmt did not run: terraform is not installed".to_owned()));
    }
    run(&mut command("terraform fmt -check -diff deploy/terraform"))?;
    Ok(None)
}
