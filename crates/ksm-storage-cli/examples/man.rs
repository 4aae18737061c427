//! Writes the man pages of all commands to the folder that the argument names.

#[allow(dead_code, unreachable_pub, reason = "only the grammar is needed")]
#[path = "../src/cli.rs"]
mod cli;

use std::{env, fs, io};

use clap::CommandFactory;

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).ok_or_else(|| io::Error::other("usage: man FOLDER"))?;
    fs::create_dir_all(&folder)?;
    clap_mangen::generate_to(cli::Cli::command(), folder)
}
