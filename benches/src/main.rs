//! Compares the libraries with similar programs: `cargo xtask bench --help`, which builds everything and runs this.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its results")]
#![allow(clippy::format_push_string, clippy::format_collect, reason = "the report is short")]

mod goals;
mod queue;
mod report;
mod samples;
mod service;
mod start;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread,
};

use samples::{Samples, Table};
use service::Service;

/// All measurements.
struct Measured {
    starts: start::Starts,
    queue: queue::Queue,
    /// Nanoseconds per read, by subject and number of threads, such as `get/2`.
    reads: Table,
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let quick = env::args().any(|argument| argument == "--quick");
    let Err(error) = measure(quick) else { return ExitCode::SUCCESS };
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

fn measure(quick: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let _guard = runtime.enter();
    let (rounds, machine) = (if quick { 3 } else { 20 }, machine()?);
    eprintln!("starts, {rounds} times each");
    let service = runtime.block_on(Service::start())?;
    let mut starts = start::measure(&service, rounds)?;
    drop(service);
    eprintln!("queue of writes");
    let queue = runtime.block_on(queue::measure(if quick { 20 } else { 200 }))?;
    eprintln!("reads");
    let reads = reads(if quick { "5" } else { "40" }).unwrap_or_else(|why| {
        starts.left_out.push(format!("reads: {why}"));
        Table::new()
    });
    let measured = Measured { starts, queue, reads };
    let text = report::markdown(&measured, rounds, &machine);
    if quick {
        println!("{text}");
        return Ok(());
    }
    Ok(fs::write(root().join("docs/performance.md"), text)?)
}

/// The output of the program in `benches/reads`.
fn reads(rounds: &str) -> Result<Table> {
    let output = Command::new(target()?.join("reads/release/reads")).arg(rounds).env_clear().output()?;
    if !output.status.success() {
        return Err(format!("reads failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let printed: BTreeMap<String, Vec<f64>> = serde_json::from_slice(&output.stdout)?;
    Ok(printed.into_iter().map(|(name, figures)| (name, Samples(figures))).collect())
}

fn machine() -> Result<String> {
    let rustc = String::from_utf8(Command::new("rustc").arg("--version").output()?.stdout)?;
    let (threads, os, arch) = (thread::available_parallelism()?, env::consts::OS, env::consts::ARCH);
    // An idle machine has a load below one.
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    Ok(format!("{threads} hardware threads of {os} {arch} at a load of {load}, with {}", rustc.trim()))
}

/// The workspace's root folder.
fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// The target folder of `cargo xtask bench`, which contains this program.
fn target() -> Result<PathBuf> {
    let program = env::current_exe()?;
    Ok(program.ancestors().nth(2).ok_or("there is no target folder")?.to_owned())
}
