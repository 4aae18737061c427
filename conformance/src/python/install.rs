//! Packages for Python, installed below `target/`, once, in the versions that `conformance/python/requirements.txt` names.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const REQUIREMENTS: &str = include_str!("../../python/requirements.txt");

/// The interpreter of an environment with all requirements in it.
pub(crate) fn install() -> Result<PathBuf, String> {
    let folder = folder().map_err(|error| format!("no folder for Python's packages: {error}"))?;
    let python = folder.join("bin/python");
    let stamp = folder.join("requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == REQUIREMENTS) {
        return Ok(python);
    }
    eprintln!("installing packages from PyPI into {}, once", folder.display());
    let list = folder.with_extension("txt");
    let write =
        |path: &Path| fs::write(path, REQUIREMENTS).map_err(|error| format!("{}: {error}", path.display()));
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    write(&list)?;
    let pip =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"];
    run(Command::new(&python).args(pip).arg(&list))?;
    write(&stamp)?;
    Ok(python)
}

/// `target/python`, wherever `target` is: two levels above this program.
fn folder() -> io::Result<PathBuf> {
    let program = env::current_exe()?;
    let target = program.ancestors().nth(2).ok_or(io::ErrorKind::NotFound)?;
    Ok(target.join("python"))
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().display().to_string();
    let status = command.stdin(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name} failed: {status}")),
        Err(error) => Err(format!("{name} cannot be started: {error}")),
    }
}
