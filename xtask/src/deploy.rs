//! Checks of `deploy/`, as far as they are possible without an account.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{
    run::{command, root, run, target},
    tools::install,
};

const REQUIREMENTS: &str = "deploy/requirements.txt";

/// Returns the check that was left out, if any: Terraform is not in a registry.
pub(crate) fn check() -> Result<Option<String>> {
    let python = environment().context("cannot install the linters, which need python3 with venv")?;
    run(Command::new(python).current_dir(root()).arg("deploy/check.py"))?;
    if Command::new("terraform").arg("version").output().is_err() {
        return Ok(Some("terraform fmt did not run: terraform is not installed".to_owned()));
    }
    run(&mut command("terraform fmt -check -diff deploy/terraform"))?;
    Ok(None)
}

/// The interpreter of a virtual environment below `target` with the pinned linters, created if necessary.
fn environment() -> Result<PathBuf> {
    let wanted = fs::read_to_string(root().join(REQUIREMENTS))?;
    let folder = target()?.join("deploy-python");
    let (python, stamp) = (folder.join("bin/python"), folder.join("installed.txt"));
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    install(command("python3 -m venv --clear").arg(&folder))?;
    let pip = "-m pip install --quiet --disable-pip-version-check --no-deps --requirement";
    install(Command::new(&python).current_dir(root()).args(pip.split(' ')).arg(REQUIREMENTS))?;
    fs::write(stamp, wanted)?;
    Ok(python)
}
