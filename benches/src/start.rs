//! From process start to a configuration, or to records.

use std::{
    fs,
    process::{Command, Stdio},
    time::Instant,
};

use crate::{
    Result, root,
    samples::{Subject, Table, interleaved},
    service::{NAME, Service},
    target,
};

pub(crate) const BARE: &str = "bare-default";
pub(crate) const OURS: &str = "ours";
pub(crate) const PYTHON: &str = "python";
pub(crate) const JOB: &str = "main-job";
pub(crate) const BARE_SDK: &str = "bare-sdk";

/// Times in milliseconds, under names such as `ours/https`.
pub(crate) struct Starts {
    pub(crate) opening: Table,
    pub(crate) records: Table,
    /// The same for a first start, with a one-time token.
    pub(crate) binding: Table,
    pub(crate) roots: usize,
    /// Programs and servers that were not run, with the reason.
    pub(crate) left_out: Vec<String>,
}

pub(crate) fn measure(service: &Service, rounds: usize) -> Result<Starts> {
    let python = python_peers::install();
    let arn = service.server.emulator().secret(NAME).arn().ok_or("the secret has no ARN")?;
    // Copied, as an installation is: what a linker writes piece by piece is mapped in smaller pages.
    let (built, installed) = (target()?.join("startup/release"), tempfile::tempdir()?);
    for name in [BARE, OURS, JOB, BARE_SDK] {
        fs::copy(built.join(name), installed.path().join(name))?;
    }
    // Runs all programs in turn over all transports, as far as they are installed.
    let times = |programs: &[&str], ways: &[&str], argument: &str, prepare: &dyn Fn(&mut Command)| {
        let all = ways.iter().flat_map(|via| programs.iter().map(|name| (*name, *via)));
        let all = all.filter(|(name, via)| {
            (*name != PYTHON || python.is_ok()) && (*via != "nginx" || service.nginx.is_ok())
        });
        let subject = |(name, via)| -> Subject<'_> {
            let python = python.as_ref().ok().filter(|_| name == PYTHON);
            let mut command = service.command(python.unwrap_or(&installed.path().join(name)), via);
            command.args(python.map(|_| root().join("benches/startup/peer.py"))).args([&*arn, argument]);
            let measure = move || {
                prepare(&mut command);
                let time = run(&mut command)?;
                service.save_file().map(|()| time)
            };
            (format!("{name}/{via}"), Box::new(measure))
        };
        interleaved(rounds, &mut all.map(subject).collect::<Vec<_>>())
    };

    let ways = ["http", "https", "nginx"];
    let opening = times(&[BARE, OURS, PYTHON], &ways, "", &|_| ())?;
    let binding = times(&[JOB, PYTHON], &ways[1..2], "--records", &|command| {
        command.env("KSM_TOKEN", service.unbind());
    })?;
    let records = times(&[BARE_SDK, JOB, PYTHON], &ways[1..], "--records", &|_| ())?;

    let left_out = [service.nginx.as_ref().err().cloned(), python.err()].into_iter().flatten().collect();
    Ok(Starts { opening, records, binding, roots: service.roots, left_out })
}

/// Runs the command, and returns its duration in milliseconds.
fn run(command: &mut Command) -> Result<f64> {
    let start = Instant::now();
    let output = command.stdin(Stdio::null()).output();
    let elapsed = start.elapsed();
    let output = output.map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} failed: {error}", command.get_program().display()).into());
    }
    Ok(elapsed.as_secs_f64() * 1e3)
}
