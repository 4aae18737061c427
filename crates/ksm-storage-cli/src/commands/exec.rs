//! `exec`: runs a program in any language, with the configuration in an environment variable.

use std::{ffi::OsStr, io, process};

use base64::{Engine, engine::general_purpose::STANDARD};
use ksm_storage::ErrorKind;
use zeroize::Zeroizing;

use crate::{
    cli::{Exec, Global},
    exit::Exit,
    failure::{Failure, Result},
    state,
    storage::{self, Access},
};

/// The maximum length of an environment string, including the name, the equals sign and the final zero: Linux's
/// `MAX_ARG_STRLEN`, which is fixed. Other systems limit the whole environment, Windows to 32,767 characters.
const MAX_STRING: usize = if cfg!(windows) { 32_767 } else { 131_072 };

pub(crate) async fn run(args: Exec, global: &Global) -> Result<Exit> {
    let name = args.env.as_encoded_bytes();
    if name.is_empty() || name.contains(&b'=') || name.contains(&0) {
        return Err(Failure::usage(
            "--env is not the name of a variable",
            "expected a name such as KSM_CONFIG",
        ));
    }
    let storage = storage::open(global, Access::Read).await?;
    let snapshot = storage.snapshot();
    let state = snapshot.bind_state();
    if let Some(remedy) = state::remedy(state) {
        let problem = format!("{}: {}", storage.location(), state::problem(state));
        return Err(Failure::new(Exit::Unbound, "unbound", problem, remedy));
    }
    let value = Zeroizing::new(STANDARD.encode(snapshot.document().to_payload().as_bytes()));
    if name.len() + value.len() + 2 > MAX_STRING {
        return Err(Failure::new(
            Exit::Other,
            ErrorKind::TooLarge.as_str(),
            format!("the configuration does not fit in a variable: {} bytes in base64", value.len()),
            "remove unknown keys from it, or open the storage from the program",
        ));
    }
    start(&args.command, &args.env, &value)
}

fn start(command: &[std::ffi::OsString], name: &OsStr, value: &str) -> Result<Exit> {
    let [program, args @ ..] = command else {
        return Err(Failure::usage("no program was given", "put it after `--`"));
    };
    let mut command = process::Command::new(program);
    command.args(args).env_remove("KSM_TOKEN").env(name, value);
    let error = replace(command)?;
    let exit =
        if error.kind() == io::ErrorKind::NotFound { Exit::CommandNotFound } else { Exit::CannotExecute };
    // Without a slash, the program is looked up in the PATH.
    let path = std::path::Path::new(program);
    let exists = path.components().count() > 1 && path.exists();
    let program = ksm_storage::shell_word(&program.to_string_lossy());
    let mut failure = Failure::io(&format!("cannot start {program}"), &error);
    if exit == Exit::CommandNotFound && exists {
        failure =
            failure.with_remedy("the file exists, so its interpreter is missing: correct its first line");
    }
    failure.exit = exit;
    Err(failure)
}

/// Replaces this process with the program. Returns only on failure.
#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere the program may end with success")]
fn replace(mut command: process::Command) -> Result<io::Error> {
    Ok(std::os::unix::process::CommandExt::exec(&mut command))
}

/// Runs the program, and exits with its status.
#[cfg(not(unix))]
fn replace(mut command: process::Command) -> Result<io::Error> {
    match command.status() {
        Ok(status) => process::exit(status.code().unwrap_or(1)),
        Err(error) => Ok(error),
    }
}
