//! The commands, one module each.

mod bind;
mod change;
mod clear;
mod confirm;
mod copy;
mod doctor;
mod exec;
mod export;
mod history;
mod import;
mod restore;
mod status;

use clap::CommandFactory;

use crate::{
    cli::{Cli, Command, Global},
    exit::Exit,
    failure::Result,
    output::{self, Output},
    storage,
};

pub(crate) async fn run(command: Command, global: &Global, output: Output) -> Result<Exit> {
    let target = match &command {
        Command::Copy(args) => Some(copy::target(args)),
        // Its report names what it writes.
        Command::Doctor(_) => return start(command, global, output).await,
        _ => None,
    };
    start(command, global, output).await.map_err(|failure| {
        if !failure.is_unsure() {
            return failure;
        }
        match target.map_or_else(|| storage::url(global), Ok) {
            Ok(written) => failure.look_first(&written),
            Err(_) => failure,
        }
    })
}

async fn start(command: Command, global: &Global, output: Output) -> Result<Exit> {
    match command {
        Command::Exec(args) => return exec::run(args, global).await,
        Command::Doctor(args) => return doctor::run(args, global, output).await,
        Command::Status => status::run(global, output).await?,
        Command::History => history::run(global, output).await?,
        Command::Restore(args) => restore::run(&args, global, output).await?,
        Command::Bind(args) => bind::run(args, global, output).await?,
        Command::Import(args) => import::run(args, global, output).await?,
        Command::Export(args) => export::run(args, global, output).await?,
        Command::Copy(args) => copy::run(args, global, output).await?,
        Command::Clear(args) => clear::run(&args, global, output).await?,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "ksm-storage", &mut script);
            output::raw(&script)?;
        }
    }
    Ok(Exit::Success)
}
