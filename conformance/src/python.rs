//! Programs in Python: emulators written by others. They are installed below `target/`, once, in the versions that
//! `conformance/python/requirements.txt` names.

use std::{
    env, fs, io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const REQUIREMENTS: &str = include_str!("../python/requirements.txt");
/// How long a server may take to answer after its start.
const PATIENCE: Duration = Duration::from_mins(1);

/// Which emulator.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Program {
    Moto,
    Ministack,
}

/// A server on loopback, until dropped.
pub(crate) struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Installs and starts it.
    pub(crate) fn start(program: Program) -> Result<Self, String> {
        let python = install()?;
        // Free now, and nobody else's business on this machine until the server has it.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .map_err(|error| format!("no free port: {error}"))?
            .port();
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new(&python);
        match program {
            Program::Moto => command.arg(script("moto_server.py")).arg(port.to_string()),
            // Without workers it is one process, which ends with its id.
            Program::Ministack => {
                command.args(["-m", "hypercorn", "ministack.app:app", "--workers", "0", "-b", &address])
            }
        };
        let folder = python.parent().and_then(Path::parent).unwrap_or(&python);
        let child = command
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{program:?} cannot be started: {error}"))?;
        let mut server = Self { child, url: format!("http://{address}") };
        server.wait(&address).map_err(|why| format!("{program:?} {why}"))?;
        Ok(server)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn wait(&mut self, address: &str) -> Result<(), String> {
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("ended at once: {status}"));
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("does not listen on {address}"));
            }
            sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A script of this package.
pub(crate) fn script(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "python", name].iter().collect()
}

/// The interpreter of an environment with all requirements in it.
pub(crate) fn install() -> Result<PathBuf, String> {
    let folder = folder().map_err(|error| format!("no folder for Python's packages: {error}"))?;
    let python = folder.join("bin/python");
    let stamp = folder.join("requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == REQUIREMENTS) {
        return Ok(python);
    }
    eprintln!("installing the emulators from PyPI into {}, once", folder.display());
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
