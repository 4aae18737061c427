//! Tasks of this workspace: `cargo xtask --help`.
//!
//! No published crate of this workspace is a dependency: tasks run `cargo`, and this compiles in seconds.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a task runner reports its progress")]

mod api;
mod bench;
mod check_backend;
mod ci;
mod dependencies;
mod fuzz;
mod mutants;
mod new_backend;
mod package;
mod python;
mod release;
mod run;
mod tests;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of this workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run the quick start with the CLI, on an emulator of AWS and a fake Keeper
    Demo,
    /// Run all tests: unit, integration and documentation tests, and every example
    Test,
    /// Run the conformance suite on the backends
    Conformance(tests::Conformance),
    /// Run writer processes on the emulator behind a proxy that injects faults, and check the fate of each change
    Chaos(tests::Chaos),
    /// Explore the interleavings of core's concurrent code, with a fixed seed
    ///
    /// A failing schedule is printed. Repeat it alone with `SCHEDULE='...' cargo xtask schedules TEST`.
    Schedules {
        /// Run only the tests whose names contain one of these texts
        #[arg(value_name = "TEST")]
        tests: Vec<String>,
    },
    /// Fuzz the parsers of documents, secret IDs, framed payloads and requests
    Fuzz(fuzz::Options),
    /// Run cargo-mutants, as `.cargo/mutants.toml` configures it
    Mutants(mutants::Options),
    /// Benchmark against similar programs, and write docs/performance.md
    ///
    /// Builds all programs with the same release profile, installs Keeper's Python package below
    /// `target/`, and measures for some minutes. Leave the machine idle meanwhile.
    Bench(bench::Options),
    /// Create the crate of a new backend as a copy of ksm-storage-memory, and register it everywhere
    ///
    /// The crate compiles and passes the conformance suite from the start. CONTRIBUTING.md lists the next steps.
    NewBackend {
        /// The part after `ksm-storage-` in the crate's name, in lower case, such as `redis` or `gcp-secret`
        #[arg(value_parser = new_backend::parse_name)]
        name: String,
    },
    /// Run all checks of one backend
    CheckBackend {
        /// The part after `ksm-storage-` in the crate's name
        #[arg(value_parser = tests::parse_crate)]
        name: String,
    },
    /// Write the public API of each published crate to docs/api, for review
    Api(api::Options),
    /// Build the Lambda layer of the command `ksm-storage`: target/layer/TARGET.zip
    Layer,
    /// Write the man pages of the command `ksm-storage` to target/man
    Man,
    /// Package the published crates, and check their contents
    Package(package::Options),
    /// Build and install the Python package, and run its tests; `--full` for the release wheel and slow tests
    Python {
        /// Arguments of `crates/ksm-storage-python/check.py`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run the checks that a change must pass, and summarize them
    Ci(ci::Options),
    /// Check a release and produce its files in `target/release-files`, without publishing anything
    Release(release::Options),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Demo => tests::demo(),
        Task::Test => tests::test(),
        Task::Conformance(options) => tests::conformance(&options),
        Task::Chaos(options) => tests::chaos(&options),
        Task::Schedules { tests } => tests::schedules(&tests),
        Task::Fuzz(options) => fuzz::fuzz(&options),
        Task::Mutants(options) => mutants::mutants(&options),
        Task::Bench(options) => bench::bench(&options),
        Task::NewBackend { name } => new_backend::new_backend(&name),
        Task::CheckBackend { name } => check_backend::check_backend(&name),
        Task::Api(options) => api::api(&options),
        Task::Layer => python::layer(),
        Task::Man => tests::man(),
        Task::Package(options) => package::package(&options),
        Task::Python { args } => python::python(&args),
        Task::Ci(options) => ci::ci(&options),
        Task::Release(options) => release::release(&options),
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}
