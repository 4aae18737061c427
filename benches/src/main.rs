//! Measures what the libraries promise, and reports it: `cargo xtask bench --help`, which builds what is measured and runs
//! this.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "telling is what it does")]

mod criterion;
mod goals;
mod instructions;
mod machine;
mod plot;
mod processes;
mod programs;
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

use clap::{Parser, Subcommand};
use report::Report;
use service::Service;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Measure, and write docs/performance.md and its plot.
#[derive(Parser)]
struct Cli {
    /// Measure a few times only, and print the report instead
    #[arg(long)]
    quick: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What a process of its own does.
#[derive(Subcommand)]
enum Part {
    /// Increments a counter in the secret of a service
    #[command(hide = true)]
    Increment { url: String },
    /// Does something so many times
    #[command(hide = true)]
    Repeat { what: instructions::What, times: u32 },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.part {
        Some(Part::Increment { url }) => processes::increment(&url),
        Some(Part::Repeat { what, times }) => instructions::repeat(what, times),
        None => measure(cli.quick),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
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
    eprintln!("processes on one secret");
    let processes = runtime.block_on(processes::measure())?;
    eprintln!("reads");
    let reads = reads::measure(quick)?;
    eprintln!("instructions");
    let report = Report {
        starts,
        queue,
        processes,
        reads,
        instructions: instructions::measure()?,
        programs: programs::read()?,
        benches: criterion::read()?,
        machine: machine::describe()?,
    };
    let text = report.to_markdown(rounds);
    if quick {
        println!("{text}");
        return Ok(());
    }
    plot::draw(&root().join("docs/performance.svg"), &report.starts, &report.queue)?;
    fs::write(root().join("docs/performance.md"), text)?;
    eprintln!("docs/performance.md and docs/performance.svg are written");
    Ok(())
}

/// The workspace's root folder.
fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// Where `cargo xtask bench` has built everything, and this program too: two levels above it.
fn target() -> Result<PathBuf> {
    let program = env::current_exe()?;
    Ok(program.ancestors().nth(2).ok_or("there is no target folder")?.to_owned())
}

/// What an earlier step has written there.
fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()).into())
}
