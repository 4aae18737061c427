//! Measures the libraries beside comparable programs: `cargo xtask bench --help`, which builds all of them and runs this.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its results")]

mod goals;
mod machine;
mod queue;
mod reads;
mod report;
mod samples;
mod service;
mod start;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use service::Service;

/// Everything that was measured.
struct Measured {
    starts: start::Starts,
    queue: queue::Queue,
    /// Nanoseconds of one read, by subject and number of threads: `get/2`.
    reads: samples::Table,
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Measure, and write docs/performance.md.
#[derive(Parser)]
struct Cli {
    /// Take few samples, and print the report instead
    #[arg(long)]
    quick: bool,
}

fn main() -> ExitCode {
    let Err(error) = measure(Cli::parse().quick) else { return ExitCode::SUCCESS };
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

fn measure(quick: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let _guard = runtime.enter();
    let rounds = if quick { 3 } else { 20 };
    eprintln!("starts, {rounds} times each");
    let service = runtime.block_on(Service::start())?;
    let starts = start::measure(&service, rounds)?;
    drop(service);
    eprintln!("queue of writes");
    let queue = runtime.block_on(queue::measure(if quick { 20 } else { 200 }))?;
    eprintln!("reads");
    let reads = reads::measure(quick)?;
    let measured = Measured { starts, queue, reads };
    let text = report::markdown(&measured, rounds, &machine::describe()?);
    if quick {
        println!("{text}");
        return Ok(());
    }
    Ok(fs::write(root().join("docs/performance.md"), text)?)
}

/// The workspace's root folder.
fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// The target folder of `cargo xtask bench`, in which this program is, too.
fn target() -> Result<PathBuf> {
    let program = env::current_exe()?;
    Ok(program.ancestors().nth(2).ok_or("there is no target folder")?.to_owned())
}
