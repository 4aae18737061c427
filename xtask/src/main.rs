//! Tasks of this workspace: `cargo xtask --help`.
//!
//! Nothing here depends on a crate of the workspace: tasks run `cargo`, so that this compiles in seconds.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "telling is what a task runner does")]

mod ci;
mod metadata;
mod run;
mod source;
mod tasks;
mod tools;

use std::{ffi::OsString, process::ExitCode};

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
    /// Run the main job end to end (still to come: says so and fails)
    Demo,
    /// Run all tests: unit, integration and doc tests, and every example
    Test,
    /// Put the backends through the conformance suite (try `cargo xtask conformance --help`)
    #[command(disable_help_flag = true)]
    Conformance {
        /// Passed on to the runner
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Run the benches
    #[command(disable_help_flag = true)]
    Bench {
        /// Passed on to `cargo bench`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Run every check there is, and list the failed ones at the end
    Ci,
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Demo => tasks::demo(),
        Task::Test => tasks::test(),
        Task::Conformance { args } => tasks::conformance(&args),
        Task::Bench { args } => tasks::bench(&args),
        Task::Ci => ci::ci(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
