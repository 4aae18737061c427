use std::{
    env,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Returns the interpreter of the virtual environment `target/NAME` with these requirements, in pip's format.
///
/// Replaces an environment with other requirements. Concurrent processes wait for each other.
///
/// # Errors
/// If `python3` with `venv` is missing, or a package cannot be installed.
pub fn environment(name: &str, requirements: &str) -> Result<PathBuf, String> {
    let at = |path: &Path| {
        let path = path.display().to_string();
        move |error: io::Error| format!("{path}: {error}")
    };
    let folder = target().map_err(|error| format!("no target folder: {error}"))?.join(name);
    let python = folder.join("bin/python");
    let stamp = folder.join("requirements.txt");
    let is_current = || fs::read_to_string(&stamp).is_ok_and(|installed| installed == requirements);
    if is_current() {
        // Another user may have created it with a `python3` that this user cannot run.
        run(Command::new(&python).arg("--version"))?;
        return Ok(python);
    }
    let (list, lock) = (folder.with_extension("txt"), folder.with_extension("lock"));
    // The lock is released when the file is closed.
    let lock_file = File::create(&lock).map_err(at(&lock))?;
    lock_file.lock().map_err(at(&lock))?;
    if is_current() {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    fs::write(&list, requirements).map_err(at(&list))?;
    let pip =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"];
    run(Command::new(&python).args(pip).arg(&list))?;
    fs::write(&stamp, requirements).map_err(at(&stamp))?;
    Ok(python)
}

/// The folder in which cargo built this program.
fn target() -> io::Result<PathBuf> {
    let program = env::current_exe()?;
    let target = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    Ok(target.ok_or(io::ErrorKind::NotFound)?.to_owned())
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().display().to_string();
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("cannot start {name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{name} failed: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
}
