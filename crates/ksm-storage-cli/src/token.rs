//! Reads the one-time token, which is never an argument, because other users could see it in the process list.

use std::{
    env, fs,
    io::{self, IsTerminal, Read},
    path::Path,
};

use ksm_storage::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::failure::{Failure, Result};

/// Tokens are much shorter, even those that contain a server key.
const MAX_LEN: u64 = 4096;

/// The token from the file or from `KSM_TOKEN`; `None` if neither is given.
pub(crate) fn given(file: Option<&Path>) -> Result<Option<SecretString>> {
    match file {
        Some(file) if file == "-" => read(io::stdin().lock()).map(Some),
        Some(file) => {
            let opened = fs::File::open(file);
            let cannot = |error| {
                Failure::io(
                    &format!("cannot read {}", ksm_storage::shell_word(&file.to_string_lossy())),
                    &error,
                )
            };
            read(opened.map_err(cannot)?).map(Some)
        }
        None => match env::var("KSM_TOKEN") {
            Ok(token) => Ok(Some(token.trim().to_owned()).filter(|token| !token.is_empty()).map(Into::into)),
            Err(env::VarError::NotPresent) => Ok(None),
            Err(env::VarError::NotUnicode(_)) => Err(missing("the variable KSM_TOKEN is not UTF-8")),
        },
    }
}

/// Reads the token from standard input; from a terminal, without echo.
pub(crate) fn ask() -> Result<SecretString> {
    if !io::stdin().is_terminal() {
        return read(io::stdin().lock());
    }
    let answer = ask_terminal("One-time token: ");
    read(answer.map_err(|error| unreadable(&error))?.as_slice())
}

/// Reads a line without echo. An interrupt is the end of a line here: the terminal gets its echo back before this process ends.
#[cfg(unix)]
fn ask_terminal(prompt: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    use rustix::{
        process::{Signal, getpid, kill_process},
        termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr},
    };
    const INTERRUPT: u8 = 3;
    let stdin = io::stdin();
    let before = tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
    silent.local_modes.insert(LocalModes::ECHONL);
    silent.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
    tcsetattr(&stdin, OptionalActions::Flush, &silent)?;
    let mut line = Zeroizing::new(vec![0; 4096]);
    let prompted = io::Write::write_all(&mut io::stderr(), prompt.as_bytes());
    let read = prompted.and_then(|()| Ok(rustix::io::read(&stdin, line.as_mut_slice())?));
    tcsetattr(&stdin, OptionalActions::Now, &before)?;
    line.truncate(read?);
    if line.last() == Some(&INTERRUPT) {
        kill_process(getpid(), Signal::INT)?;
        return Err(io::ErrorKind::Interrupted.into());
    }
    Ok(line)
}

#[cfg(not(unix))]
fn ask_terminal(prompt: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    rpassword::prompt_password(prompt).map(|line| Zeroizing::new(line.into_bytes()))
}

fn read(source: impl Read) -> Result<SecretString> {
    let mut text = Zeroizing::new(String::with_capacity(4200));
    let count = source.take(MAX_LEN + 1).read_to_string(&mut text);
    let count = count.map_err(|error| unreadable(&error))?;
    if u64::try_from(count).unwrap_or(u64::MAX) > MAX_LEN {
        return Err(missing("the input is too long for a one-time token"));
    }
    parse(&text)
}

fn parse(text: &str) -> Result<SecretString> {
    let token = SecretString::from(text.trim());
    if token.expose_secret().is_empty() {
        return Err(missing("no one-time token was given"));
    }
    Ok(token)
}

fn unreadable(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::InvalidData => missing("the one-time token is not UTF-8"),
        _ => Failure::io("cannot read the one-time token", error),
    }
}

fn missing(problem: &'static str) -> Failure {
    Failure::usage(problem, "pass it on standard input, with --token-file or in KSM_TOKEN")
}
