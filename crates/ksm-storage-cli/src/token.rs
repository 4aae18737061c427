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
    let answer = rpassword::prompt_password("One-time token: ");
    let answer =
        Zeroizing::new(answer.map_err(|error| Failure::io("cannot read the one-time token", &error))?);
    parse(&answer)
}

fn read(source: impl Read) -> Result<SecretString> {
    let mut text = Zeroizing::new(String::with_capacity(4200));
    let count = source.take(MAX_LEN + 1).read_to_string(&mut text);
    let count = count.map_err(|error| Failure::io("cannot read the one-time token", &error))?;
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

fn missing(problem: &'static str) -> Failure {
    Failure::usage(problem, "pass it on standard input, with --token-file or in KSM_TOKEN")
}
