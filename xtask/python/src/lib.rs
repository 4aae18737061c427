//! Third-party programs in Python: emulators, boto3, the AWS CLI, and Keeper's own storage.
//!
//! They run in a virtual environment below `target/`, with the packages pinned in `requirements.txt`.

mod environment;
mod process;

use std::{
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

pub use environment::environment;
pub use process::Process;

/// The time limit for a server to accept connections.
const START: Duration = Duration::from_mins(1);

/// Returns the interpreter of the environment with the pinned packages. Creates the environment if necessary.
///
/// # Errors
/// If `python3` with `venv` is missing, or a package cannot be installed.
pub fn install() -> Result<PathBuf, String> {
    environment("python", include_str!("../requirements.txt"))
}

/// Runs `peer.py` with these arguments against the service at `url`, and returns its output.
///
/// # Errors
/// If the environment cannot be set up, or with the error output of the program.
pub fn peer(url: &str, args: &[&str]) -> Result<String, String> {
    run("peer.py", url, args)
}

/// Runs a script of this package against the service at `url`, and returns its output.
///
/// # Errors
/// If the environment cannot be set up, or with the error output of the program.
pub fn run(name: &str, url: &str, args: &[&str]) -> Result<String, String> {
    let python = install()?;
    let folder = python.parent().and_then(Path::parent).unwrap_or(&python);
    let mut command = Command::new(&python);
    command
        .arg(script(name))
        .args(args)
        .env_clear()
        // Otherwise the user's settings would be read.
        .env("HOME", folder)
        .env("AWS_ENDPOINT_URL", url)
        .env("AWS_ACCESS_KEY_ID", "AKIA")
        .env("AWS_SECRET_ACCESS_KEY", "key")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    Process::start(&mut command)?.wait().map_err(|error| format!("{name} {args:?}: {error}"))
}

/// An emulator of AWS.
#[derive(Clone, Copy, Debug)]
pub enum Program {
    /// <https://github.com/getmoto/moto>
    Moto,
    /// <https://github.com/Nahuel990/ministack>
    Ministack,
}

/// An emulator on a loopback port, stopped on drop.
pub struct Server {
    process: Process,
    url: String,
}

impl Server {
    /// Starts the emulator in the environment that [`install`] creates.
    ///
    /// # Errors
    /// If the environment cannot be created, or with the error output of the emulator.
    pub fn start(program: Program) -> Result<Self, String> {
        let python = install()?;
        // A free port. Another program is unlikely to take it before the server does.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .map_err(|error| format!("no free port: {error}"))?
            .port();
        let no_file = |error: io::Error| format!("no file for the output of {program:?}: {error}");
        let output = tempfile::tempfile().map_err(no_file)?;
        let folder = python.parent().and_then(Path::parent).unwrap_or(&python);
        let child = Command::new(&python)
            .arg(script("server.py"))
            .args([&format!("{program:?}").to_lowercase(), &port.to_string()])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(output.try_clone().map_err(no_file)?)
            .spawn()
            .map_err(|error| format!("cannot start {program:?}: {error}"))?;
        let mut server = Self { process: Process(child), url: format!("http://127.0.0.1:{port}") };
        server.wait(port).map_err(|why| format!("{program:?} {why}\n{}", process::tail(output)))?;
        Ok(server)
    }

    /// The URL of the service.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    fn wait(&mut self, port: u16) -> Result<(), String> {
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Ok(Some(status)) = self.process.0.try_wait() {
                return Err(format!("ended at once: {status}"));
            }
            if start.elapsed() > START {
                return Err(format!("does not listen on port {port}"));
            }
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

fn script(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), name].iter().collect()
}
