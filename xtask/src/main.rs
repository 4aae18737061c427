//! Tasks of this workspace: `cargo xtask --help`.
//!
//! Nothing here depends on a crate of the workspace: tasks run `cargo`, so that this compiles in seconds.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "telling is what a task runner does")]

mod api;
mod bench;
mod ci;
mod documents;
mod fuzz;
mod infrastructure;
mod metadata;
mod mutants;
mod new_backend;
mod new_backend_check;
mod package;
mod run;
mod source;
mod tasks;
mod tools;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand, builder::PossibleValuesParser};

use crate::{bench::Length, new_backend::Name, run::Failed};

/// Tasks of this workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run the main job end to end, on embedded stand-ins for AWS and Keeper (try `cargo xtask demo --help`)
    #[command(disable_help_flag = true)]
    Demo {
        /// Passed on to the demo
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Run all tests: unit, integration and doc tests, and every example
    Test,
    /// Put the backends through the conformance suite (try `cargo xtask conformance --help`)
    #[command(disable_help_flag = true)]
    Conformance {
        /// Passed on to the runner
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Run core's races under thousands of schedules, and see that planted ones are found
    Schedules {
        /// Passed on to the tests: names, as a rule
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Feed arbitrary input to what reads it: documents, secret ids, framed payloads, requests
    Fuzz(fuzz::Options),
    /// Make the code wrong in one place at a time, and see that a test fails (try `cargo xtask mutants --help`)
    Mutants(mutants::Args),
    /// Measure everything beside its peers, and write docs/performance.md
    ///
    /// Builds what is compared, with the release profile that the README recommends, installs Keeper's Python package
    /// below `target/`, and measures for some minutes. Nothing else should run on the machine meanwhile.
    Bench {
        /// Measure a few times only, and print the report instead of writing it
        #[arg(long)]
        quick: bool,
    },
    /// Create the crate of a new backend, registered in the workspace, with the conformance suite in place
    ///
    /// The crate compiles; its conformance tests fail until `load` and `store` are implemented. CONTRIBUTING.md says how
    /// to go on.
    NewBackend {
        /// What follows `ksm-storage-` in the crate's name, in lower case: `file`, `gcp-secret`
        name: Name,
    },
    /// Write the public API of each published crate to docs/api, for review
    Api {
        /// Compare only, and fail where they differ
        #[arg(long)]
        check: bool,
    },
    /// Package the published crates, and look at what would be uploaded
    Package {
        /// Also compile each package as its users would, which takes minutes
        #[arg(long)]
        verify: bool,
    },
    /// Run every check there is, and list the failed ones at the end
    Ci {
        /// Run these checks only
        #[arg(value_name = "CHECK", value_parser = PossibleValuesParser::new(ci::names()))]
        only: Vec<String>,
    },
}

fn main() -> ExitCode {
    if api::stands_in_for_rustdoc() {
        return api::rustdoc();
    }
    let task = Cli::parse().task;
    let passes_args = matches!(task, Task::Demo { .. } | Task::Conformance { .. });
    let result = match task {
        Task::Demo { args } => tasks::demo(&args),
        Task::Test => tasks::test(),
        Task::Conformance { args } => tasks::conformance(&args),
        Task::Schedules { args } => tasks::schedules(&args),
        Task::Fuzz(options) => fuzz::fuzz(&options),
        Task::Bench { quick } => bench::bench(if quick { Length::Quick } else { Length::Report }),
        Task::Mutants(args) => mutants::mutants(&args),
        Task::NewBackend { name } => new_backend::new_backend(&name),
        Task::Api { check } => api::api(check),
        Task::Package { verify } => package::package(verify),
        Task::Ci { only } => ci::ci(&only),
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    eprintln!("error: {error:#}");
    let code = error.downcast_ref::<Failed>().and_then(|failed| failed.status.code());
    // Wrong use stays wrong use when somebody else parses the arguments.
    if passes_args && code == Some(2) { ExitCode::from(2) } else { ExitCode::FAILURE }
}
