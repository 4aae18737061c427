//! Checks what lies in `deploy/`, as far as that is possible without an account.

use std::{fs, io::ErrorKind, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::run::{root, run, say, target};

const REQUIREMENTS: &str = "deploy/requirements.txt";

/// Python is needed, and a failure if it is missing. Terraform is in no registry: without it one check is left out, which
/// is what is returned then.
pub(crate) fn check() -> Result<Option<String>> {
    let python = environment().context("the linters could not be installed; they need python3 with venv")?;
    run(Command::new(python).current_dir(root()).arg("deploy/check.py"))?;
    let mut format = Command::new("terraform");
    format.current_dir(root()).args(["fmt", "-check", "-diff", "deploy/terraform"]);
    match run(&mut format) {
        Err(error) if is_missing(&error) => {
            say("WARNING: terraform fmt is NOT RUN: terraform is not installed");
            Ok(Some("terraform fmt was not run: terraform is not installed".to_owned()))
        }
        result => result.map(|()| None),
    }
}

/// The interpreter of an environment below `target` with the pinned linters in it, which is made if it is not there.
fn environment() -> Result<PathBuf> {
    let wanted = fs::read_to_string(root().join(REQUIREMENTS))?;
    let folder = target()?.join("infra-python");
    let (python, stamp) = (folder.join("bin/python"), folder.join("installed.txt"));
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let pip = "-m pip install --quiet --disable-pip-version-check --no-deps --requirement";
    run(Command::new(&python).current_dir(root()).args(pip.split(' ')).arg(REQUIREMENTS))?;
    fs::write(stamp, wanted)?;
    Ok(python)
}

fn is_missing(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.is_some_and(|error| error.kind() == ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn a_program_that_is_not_there_is_told_from_one_that_fails() {
        assert!(is_missing(&run(&mut Command::new("no-such-program-anywhere")).unwrap_err()));
        let failing = run(Command::new("cargo").arg("--no-such-option").stderr(Stdio::null()));
        assert!(!is_missing(&failing.unwrap_err()));
    }
}
