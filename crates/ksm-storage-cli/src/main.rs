//! The command line of `ksm-storage`.

mod cli;
mod commands;
mod connect;
mod exit;
mod failure;
mod log;
mod output;
mod state;
mod storage;
mod token;

use std::process::ExitCode;

use clap::Parser;

use crate::{cli::Cli, output::Output};

fn main() -> ExitCode {
    let Cli { global, command } = Cli::parse();
    let output = Output::new(global.json, global.quiet);
    log::install(global.quiet, global.verbose);
    // One thread is enough, and starts faster than several.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(commands::run(command, &global, output));
            // A thread may be reading a file that has no end.
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(failure::Failure::io("cannot start", &error)),
    };
    let exit = match done {
        Ok(exit) => exit,
        Err(failure) => {
            output.failure(&failure);
            failure.exit
        }
    };
    ExitCode::from(exit.code())
}
