//! Sources of credentials, determined from variables and profiles without contacting any source.

use std::fmt::{self, Write};

use aws_credential_types::Credentials;
use ksm_storage_core::{Error, Result, SecretString};

use crate::{
    endpoint::{PLAIN_HTTP, Purpose, problem},
    environment::Environment,
    explained::Origin,
    profile::Section,
    setting::{Given, InvalidSetting, Setting},
    sign_in::sign_in,
};

/// The most roles that profiles may chain by their `source_profile`. Each costs a request to STS.
pub(crate) const MAX_ROLES: usize = 10;
/// The variables for container credentials.
pub(crate) const CONTAINER: [&str; 4] = [
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// One source of credentials.
pub(crate) enum Source {
    /// Keys, and the settings that hold them.
    Keys(Credentials, String),
    /// A token of the platform, for which STS issues credentials. As a profile that the SDK understands.
    WebIdentity {
        files: String,
        origin: Origin,
    },
    /// A session of IAM Identity Center or `aws login`, in the form of a profile for the SDK.
    SignIn {
        files: String,
        origin: Origin,
    },
    /// The output of a program.
    Process {
        command: SecretString,
        origin: Origin,
    },
    Container,
    Instance,
    /// A role that the nested source may assume.
    Role {
        arn: String,
        external_id: Option<String>,
        session: Option<String>,
        source: Box<Self>,
        origin: Origin,
    },
}

impl Source {
    /// The source of the default chain except for the instance: variables, profile, web identity, container.
    pub(crate) fn of_environment(
        environment: Environment,
        profile: Option<&Section<'_>>,
    ) -> Result<Option<Self>> {
        if let Some(keys) = of_variables(environment)? {
            return Ok(Some(keys));
        }
        if let Some(profile) = profile
            && let Some(source) = Self::of_profile(environment, profile)?
        {
            return Ok(Some(source));
        }
        let text = |name| environment.given(name)?.map(Given::identifier).transpose();
        if let Some(token) = environment.given("AWS_WEB_IDENTITY_TOKEN_FILE")? {
            let role = text("AWS_ROLE_ARN")?.ok_or_else(|| missing_counterpart(&token, "AWS_ROLE_ARN"))?;
            let session = text("AWS_ROLE_SESSION_NAME")?;
            return Ok(Some(web_identity(&role, token.file()?, session.as_ref())));
        }
        container(environment)
    }

    /// The source that a profile names, if any.
    pub(crate) fn of_profile(environment: Environment, profile: &Section<'_>) -> Result<Option<Self>> {
        follow(environment, profile, &mut Vec::new())
    }

    /// The services that issue these credentials and those they depend on, named by the suffixes of variables and
    /// profile keys.
    pub(crate) fn services(&self) -> Vec<Service> {
        match self {
            Self::WebIdentity { .. } => vec![Service::Sts],
            Self::SignIn { origin: Origin::Login { .. }, .. } => vec![Service::SignIn],
            Self::SignIn { .. } => vec![Service::Sso, Service::SsoOidc],
            Self::Role { source, .. } => [source.services(), vec![Service::Sts]].concat(),
            Self::Keys(..) | Self::Process { .. } | Self::Container | Self::Instance => Vec::new(),
        }
    }
}

/// The source in words, without anything secret.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys(_, settings) => f.write_str(settings),
            Self::Process { origin, .. } => write!(f, "{origin}, credential_process"),
            Self::SignIn { origin: origin @ Origin::Login { .. }, .. } => write!(f, "{origin}, aws login"),
            Self::SignIn { origin, .. } => write!(f, "{origin}, IAM Identity Center"),
            Self::WebIdentity { origin, .. } | Self::Role { origin, .. } => origin.fmt(f),
            Self::Container => Origin::Container { token: None }.fmt(f),
            Self::Instance => Origin::Instance.fmt(f),
        }
    }
}

/// An AWS service, as used in endpoint settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    SecretsManager,
    Sts,
    Sso,
    SsoOidc,
    SignIn,
}

impl Service {
    pub(crate) const fn variable(self) -> &'static str {
        match self {
            Self::SecretsManager => "AWS_ENDPOINT_URL_SECRETS_MANAGER",
            Self::Sts => "AWS_ENDPOINT_URL_STS",
            Self::Sso => "AWS_ENDPOINT_URL_SSO",
            Self::SsoOidc => "AWS_ENDPOINT_URL_SSO_OIDC",
            Self::SignIn => "AWS_ENDPOINT_URL_SIGNIN",
        }
    }

    pub(crate) const fn section(self) -> &'static str {
        match self {
            Self::SecretsManager => "secrets_manager",
            Self::Sts => "sts",
            Self::Sso => "sso",
            Self::SsoOidc => "sso_oidc",
            Self::SignIn => "signin",
        }
    }
}

/// Access key ID, secret access key and session token. The first two belong together.
pub(crate) fn keys(id: Given, secret: Given, token: Option<Given>) -> Result<Credentials> {
    let token = token.map(Given::token).transpose()?.map(Given::into_string);
    let (id, secret) = (id.access_key_id()?.into_string(), secret.secret_access_key()?.into_string());
    Ok(Credentials::new(id, secret, token, None, "ksm-storage"))
}

fn of_variables(environment: Environment) -> Result<Option<Source>> {
    const ID: &str = "AWS_ACCESS_KEY_ID";
    const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
    let id = environment.given(ID)?;
    let secret = match environment.given(SECRET)? {
        // Without an ID, it may belong to another program.
        None if id.is_some() => environment.given("SECRET_ACCESS_KEY")?,
        secret => secret,
    };
    let (id, secret) = match (id, secret) {
        (Some(id), Some(secret)) => (id, secret),
        (Some(id), None) => return Err(missing_counterpart(&id, SECRET)),
        (None, Some(secret)) => return Err(missing_counterpart(&secret, ID)),
        (None, None) => return Ok(None),
    };
    let settings = format!("variables {ID} and {}", secret.setting);
    let keys = keys(id, secret, environment.given("AWS_SESSION_TOKEN")?)?;
    Ok(Some(Source::Keys(keys, settings)))
}

/// The error for one setting of a pair without the other. Another source must not silently take its place.
fn missing_counterpart(given: &Given, missing: &str) -> Error {
    let name = match given.setting {
        Setting::Key { key, .. } => key.to_owned(),
        ref setting => setting.to_string(),
    };
    given.invalid(format!("{missing} is missing; the two belong together")).with_hint(format!(
        "set {missing} too, or remove {name} if the credentials are to come from another source"
    ))
}

fn container(environment: Environment) -> Result<Option<Source>> {
    let [relative, full, token, token_file] = CONTAINER;
    let (relative, full) = (environment.given(relative)?, environment.given(full)?);
    if relative.is_none() && full.is_none() {
        return Ok(None);
    }
    if let Some(relative) = relative {
        let relative = relative.identifier()?;
        if !relative.as_str().starts_with('/') {
            return Err(relative.invalid("expected a path that begins with /"));
        }
    } else if let Some(full) = full {
        let full = full.identifier()?;
        let url = full.as_str().split(['?', '#']).next().unwrap_or_default();
        if let Some(problem) = problem(url) {
            return Err(full.invalid(problem));
        }
        if !Purpose::Container.permits(url) {
            return Err(full.invalid(PLAIN_HTTP));
        }
    }
    if let Some(file) = environment.given(token_file)? {
        file.file()?;
    } else if let Some(token) = environment.given(token)? {
        token.header()?;
    }
    Ok(Some(Source::Container))
}

fn web_identity(role: &Given, token: Given, session: Option<&Given>) -> Source {
    let setting = token.setting.to_string();
    let (role, token) = (role.as_str(), token.into_string());
    let mut text = format!("[default]\nrole_arn = {role}\nweb_identity_token_file = {token}\n");
    if let Some(session) = session {
        let _ = writeln!(text, "role_session_name = {}", session.as_str());
    }
    Source::WebIdentity { files: text, origin: Origin::WebIdentity { arn: role.to_owned(), token, setting } }
}

fn follow(environment: Environment, profile: &Section<'_>, seen: &mut Vec<String>) -> Result<Option<Source>> {
    let is_source = !seen.is_empty();
    seen.push(profile.name.clone());
    let text = |key| profile.given(key)?.map(Given::identifier).transpose();
    // A source's own keys take precedence over a role that it may assume.
    if is_source && let Some(keys) = own_keys(profile).ok().flatten() {
        return Ok(Some(keys));
    }
    let role = text("role_arn")?;
    if let Some(token) = profile.given("web_identity_token_file")? {
        let missing = || profile.invalid("web_identity_token_file", "the profile has no role_arn");
        let role = role.ok_or_else(missing)?;
        return Ok(Some(web_identity(&role, token.file()?, text("role_session_name")?.as_ref())));
    }
    let Some(role) = role else { return base(environment, profile) };
    let source = match (profile.given("source_profile")?, text("credential_source")?) {
        (Some(_), Some(_)) => {
            return Err(profile.invalid("source_profile", "the profile has credential_source too"));
        }
        (None, None) => {
            return Err(role.invalid("the profile has neither source_profile nor credential_source"));
        }
        (None, Some(source)) => match &*source.as_str().to_ascii_lowercase() {
            "environment" => of_variables(environment)?,
            "ecscontainer" => container(environment)?,
            "ec2instancemetadata" => Some(Source::Instance),
            _ => return Err(source.invalid("expected Environment, EcsContainer or Ec2InstanceMetadata")),
        }
        .ok_or_else(|| source.invalid("the environment has no such credentials"))?,
        (Some(name), None) if name.as_str() == profile.name => base(environment, profile)?
            .ok_or_else(|| name.invalid("the profile has no credentials of its own"))?,
        (Some(name), None) => {
            if seen.iter().any(|other| other == name.as_str()) {
                return Err(name.invalid("the profiles refer to each other in a cycle"));
            }
            if seen.len() > MAX_ROLES {
                return Err(name.invalid(format!("more than {MAX_ROLES} roles in a chain")));
            }
            let source = profile.source_profile(name.as_str())?;
            let found = follow(environment, &source, seen)?;
            found
                .ok_or_else(|| name.invalid(format!("the profile {:?} has no credentials", name.as_str())))?
        }
    };
    let session = text("role_session_name")?.map(Given::into_string);
    let external_id = text("external_id")?.map(Given::into_string);
    let arn = role.into_string();
    let mfa = text("mfa_serial")?.map(Given::into_string);
    let origin = Origin::Role { arn: arn.clone(), mfa, profile: profile.name.clone() };
    Ok(Some(Source::Role { arn, external_id, session, source: Box::new(source), origin }))
}

/// The credentials of the profile itself.
fn base(environment: Environment, profile: &Section<'_>) -> Result<Option<Source>> {
    if let Some(source) = sign_in(environment, profile)? {
        return Ok(Some(source));
    }
    match profile.given("credential_process")? {
        Some(command) => {
            let origin = Origin::Process { profile: profile.name.clone() };
            Ok(Some(Source::Process { command: command.into_string().into(), origin }))
        }
        None => own_keys(profile),
    }
}

fn own_keys(profile: &Section<'_>) -> Result<Option<Source>> {
    let token = profile.given("aws_session_token")?;
    match (profile.given("aws_access_key_id")?, profile.given("aws_secret_access_key")?) {
        (Some(id), Some(secret)) => {
            Ok(Some(Source::Keys(keys(id, secret, token)?, format!("profile {:?}", profile.name))))
        }
        (Some(id), None) => Err(missing_counterpart(&id, "aws_secret_access_key")),
        (None, Some(secret)) => Err(missing_counterpart(&secret, "aws_access_key_id")),
        (None, None) => Ok(None),
    }
}

/// Checks credentials from any source: a header must be able to hold them.
pub(crate) fn check(credentials: &Credentials) -> Result<(), InvalidSetting> {
    let parts = [
        ("access key ID of the credentials", Some(credentials.access_key_id())),
        ("secret access key of the credentials", Some(credentials.secret_access_key())),
        ("session token of the credentials", credentials.session_token()),
    ];
    for (name, value) in parts {
        let setting = Setting::Reply(name);
        let Some(value) = value else { continue };
        let problem = if value.is_empty() {
            "it is empty".to_owned()
        } else if value.len() > 16 << 10 {
            format!("it has {} characters", value.len())
        } else if let Some(at) = value.chars().position(|char| !char.is_ascii_graphic()) {
            format!("character {} is not a visible ASCII character", at + 1)
        } else {
            continue;
        };
        return Err(InvalidSetting::new(&setting, problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "AWS_ACCESS_KEY_ID";
    const OTHER: &str = "SECRET_ACCESS_KEY";

    #[test]
    fn lone_unprefixed_secret_is_ignored() {
        let found = of_variables(Environment(|name| (name == OTHER).then(|| "of another program".into())));
        assert!(found.unwrap().is_none());
        let found = of_variables(Environment(|name| match name {
            ID => Some("AKIA".into()),
            OTHER => Some("s3cret".into()),
            _ => None,
        }));
        let Some(Source::Keys(keys, settings)) = found.unwrap() else { panic!("no keys") };
        assert_eq!((keys.access_key_id(), keys.secret_access_key()), ("AKIA", "s3cret"));
        assert_eq!(settings, "variables AWS_ACCESS_KEY_ID and SECRET_ACCESS_KEY");
    }
}
