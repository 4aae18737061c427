//! From the start of a process to a configuration in its hands.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use crate::{
    Result, root,
    samples::{Subject, Table, interleaved},
    service::Service,
    target,
};

pub(crate) const BARE_DEFAULT: &str = "bare-default";
pub(crate) const BARE: &str = "bare-trimmed";
pub(crate) const OURS: &str = "ours";
pub(crate) const OURS_MINIMAL: &str = "ours-minimal";
pub(crate) const PYTHON: &str = "python";
pub(crate) const PROGRAMS: [&str; 4] = [BARE_DEFAULT, BARE, OURS, OURS_MINIMAL];

/// Times are in milliseconds.
#[derive(Default)]
pub(crate) struct Starts {
    pub(crate) http: Table,
    pub(crate) https: Table,
    /// In KiB, over https.
    pub(crate) peak: Table,
    pub(crate) roots: usize,
    /// Why the program in Python was not run.
    pub(crate) without_python: Option<String>,
}

pub(crate) fn measure(service: &Service, rounds: usize) -> Result<Starts> {
    let python = python_peers::install();
    let built = target()?.join("startup/release");
    let program = |name: &str| built.join(name);
    let with_keys = |mut command: Command| {
        command.envs([("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "key")]);
        // The second name is Python's.
        command.envs([("AWS_REGION", "us-east-1"), ("AWS_DEFAULT_REGION", "us-east-1")]);
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command
    };
    let arn = service.server.emulator().secret("ksm-config").arn().ok_or("the secret has no ARN")?;
    let python_program = |https| -> Option<Command> {
        let python: &PathBuf = python.as_ref().ok()?;
        let mut command = with_keys(service.command(python, https));
        command.arg(root().join("benches/startup/peer.py")).arg(&arn);
        Some(command)
    };
    let all = |https: bool| -> Vec<(&'static str, Command)> {
        let rust = PROGRAMS.map(|name| (name, with_keys(service.command(&program(name), https))));
        rust.into_iter().chain(python_program(https).map(|command| (PYTHON, command))).collect()
    };

    let http = interleaved(rounds, &mut all(false).into_iter().map(timed).collect::<Vec<_>>())?;
    let https = interleaved(rounds, &mut all(true).into_iter().map(timed).collect::<Vec<_>>())?;
    let peak = interleaved(3, &mut all(true).into_iter().map(peak).collect::<Vec<_>>())?;

    let without_python = python.err();
    Ok(Starts { http, https, peak, roots: service.roots, without_python })
}

/// Runs it to its successful end.
fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} failed: {error}", command.get_program().display()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn timed((name, mut command): (&'static str, Command)) -> Subject<'static> {
    let measure = move || {
        let start = Instant::now();
        run(&mut command)?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    (name, Box::new(measure))
}

fn peak((name, mut command): (&'static str, Command)) -> Subject<'static> {
    command.arg("--peak");
    (name, Box::new(move || Ok(run(&mut command)?.trim().parse()?)))
}
