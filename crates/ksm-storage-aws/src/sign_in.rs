//! Profiles that sign in through IAM Identity Center or `aws login`.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use ksm_storage_core::{Error, Result};

use crate::{
    environment::Environment,
    explained::Origin,
    profile::Section,
    profile_file::encode,
    setting::{InvalidSetting, Setting},
    source::Source,
};

/// The session that a profile signs in to, if any.
pub(crate) fn sign_in(environment: Environment, profile: &Section<'_>) -> Result<Option<Source>> {
    const KEYS: [&str; 5] = ["sso_session", "sso_account_id", "sso_role_name", "sso_region", "sso_start_url"];
    let mut text = String::from("[default]\n");
    let empty = text.len();
    let mut is_login = false;
    for key in KEYS.into_iter().chain(["login_session"]) {
        if let Some(given) = profile.given(key)? {
            if key == "sso_region" {
                given.region()?;
            }
            is_login = key == "login_session" && text.len() == empty;
            let _ = writeln!(text, "{key} = {}", given.identifier()?.as_str());
        }
    }
    if is_login && !cfg!(feature = "credentials-login") {
        let problem = "this program was built without support for profiles made by `aws login`";
        return Err(profile.invalid("login_session", problem));
    }
    if !is_login && text.len() > empty && !cfg!(feature = "sso") {
        let problem = "this program was built without support for IAM Identity Center";
        return Err(profile.invalid("sso_account_id", problem));
    }
    if text.len() == empty {
        return Ok(None);
    }
    let session = profile.given("sso_session")?;
    for &key in &KEYS[1..] {
        let of_session = match &session {
            Some(session) => profile.of_session(session.as_str(), key)?,
            None => None,
        };
        if !is_login && profile.given(key)?.or(of_session).is_none() {
            return Err(
                profile.invalid(key, "the profile signs in through IAM Identity Center, and needs it")
            );
        }
    }
    if let Some(given) = profile.given("sso_session")? {
        let session = given.as_str();
        if encode(session) != session {
            return Err(given.invalid("the name of a session has ASCII letters, digits and _-/.@:+ only"));
        }
        let _ = writeln!(text, "[sso-session {session}]");
        for key in &KEYS[3..] {
            if let Some(given) = profile.of_session(session, key)? {
                if *key == "sso_region" {
                    given.region()?;
                }
                let _ = writeln!(text, "{key} = {}", given.identifier()?.as_str());
            }
        }
    }
    let (profile, cache) = (profile.name.clone(), cache(environment, profile, is_login)?);
    let origin = if is_login { Origin::Login { profile, cache } } else { Origin::SignIn { profile, cache } };
    Ok(Some(Source::SignIn { files: text, origin }))
}

/// The file that holds the token of the session. The SDK reads it again whenever the credentials have expired.
fn cache(environment: Environment, profile: &Section<'_>, is_login: bool) -> Result<Option<PathBuf>> {
    let (name, variable, folder) = if is_login {
        let session = profile.given("login_session")?;
        let name = session.map(|session| of_login(session.as_str()));
        (name, environment.text("AWS_LOGIN_CACHE_DIRECTORY")?, ".aws/login/cache")
    } else {
        let session = profile.given("sso_session")?;
        let session = session.map_or_else(|| profile.given("sso_start_url"), |session| Ok(Some(session)))?;
        (session.map(|session| of_sso(session.as_str())), None, ".aws/sso/cache")
    };
    let folder = match variable {
        Some(folder) => PathBuf::from(folder),
        None => match environment.home()? {
            Some(home) => Path::new(&home).join(folder),
            None => return Err(home_unset(profile, folder, is_login)),
        },
    };
    Ok(name.map(|name| folder.join(format!("{name}.json"))))
}

/// The error for a session whose token cannot be located.
fn home_unset(profile: &Section<'_>, folder: &str, is_login: bool) -> Error {
    let other = if is_login { ", or AWS_LOGIN_CACHE_DIRECTORY to the folder of its tokens" } else { "" };
    let problem =
        format!("it is not set, and the session of the profile {:?} is in ~/{folder}", profile.name);
    Error::from(InvalidSetting::new(&Setting::Variable("HOME"), problem))
        .with_hint(format!("set HOME to the home directory of the user who has signed in{other}"))
}

#[cfg(feature = "sso")]
fn of_sso(session: &str) -> String {
    hex(&<sha1::Sha1 as sha1::Digest>::digest(session))
}

#[cfg(not(feature = "sso"))]
fn of_sso(_: &str) -> String {
    String::new()
}

fn of_login(session: &str) -> String {
    hex(&<sha2::Sha256 as sha2::Digest>::digest(session))
}

fn hex(hash: &[u8]) -> String {
    hash.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
