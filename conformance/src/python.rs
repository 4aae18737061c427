//! Programs in Python: emulators written by others.

mod install;

use std::{
    env,
    fs::File,
    io::{self, Read, Seek},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

pub(crate) use install::install;

/// How long a server may take to answer after its start.
const PATIENCE: Duration = Duration::from_mins(1);

/// Which emulator.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Program {
    Moto,
    Ministack,
}

/// A process, until dropped.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server on loopback, until dropped.
pub(crate) struct Server {
    process: Process,
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
        let no_file = |error: io::Error| format!("there is no file for what {program:?} says: {error}");
        let said = tempfile::tempfile().map_err(no_file)?;
        let folder = python.parent().and_then(Path::parent).unwrap_or(&python);
        let child = command
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said.try_clone().map_err(no_file)?)
            .spawn()
            .map_err(|error| format!("{program:?} cannot be started: {error}"))?;
        let mut server = Self { process: Process(child), url: format!("http://{address}") };
        server.wait(&address).map_err(|why| format!("{program:?} {why}\n{}", tail(said)))?;
        Ok(server)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn wait(&mut self, address: &str) -> Result<(), String> {
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Ok(Some(status)) = self.process.0.try_wait() {
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

/// The last lines of what a program has said.
fn tail(mut said: File) -> String {
    const LINES: usize = 10;
    let mut bytes = Vec::new();
    // If it cannot be read there is none.
    let _ = said.rewind().and_then(|()| said.read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// A script of this package.
pub(crate) fn script(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "python", name].iter().collect()
}
