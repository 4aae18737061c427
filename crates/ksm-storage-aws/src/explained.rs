//! Explains why a source provided no credentials, and the remedy.

use std::{
    error, fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use aws_credential_types::provider::{
    self, ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future,
};
use ksm_storage_core::{Error, ErrorKind, Panicked, shell_word};
use tokio::time::{Instant, timeout_at};

use crate::{
    cause::{Cause, find},
    describe::{invalid_setting, why},
    environment::Environment,
    error::is_throttling,
    file::{self, Unreadable},
    http::{InterimFlood, ReplyTooLong},
    process::ProcessFailed,
    refusal::{answer, denial, is_skewed},
    setting::InvalidSetting,
    trace::Trace,
};

/// A source of credentials, as named in errors.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    Process { profile: String },
    SignIn { profile: String, cache: Option<PathBuf> },
    Login { profile: String, cache: Option<PathBuf> },
    Role { arn: String, mfa: Option<String>, profile: String },
    WebIdentity { arn: String, token: String, setting: String },
    Container { token: Option<String> },
    Instance,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { profile } | Self::SignIn { profile, .. } | Self::Login { profile, .. } => {
                write!(f, "profile {profile:?}")
            }
            Self::Role { arn, profile, .. } => write!(f, "profile {profile:?}, role {arn}"),
            Self::WebIdentity { arn, .. } => write!(f, "web identity, role {arn}"),
            Self::Container { .. } => f.write_str("container credentials"),
            Self::Instance => f.write_str("instance role"),
        }
    }
}

impl Origin {
    /// The file that the SDK reads, on the thread of the call.
    fn file(&self) -> Option<&Path> {
        match self {
            Self::SignIn { cache, .. } | Self::Login { cache, .. } => cache.as_deref(),
            Self::WebIdentity { token, .. } => Some(Path::new(token)),
            Self::Container { token } => token.as_deref().map(Path::new),
            Self::Process { .. } | Self::Role { .. } | Self::Instance => None,
        }
    }

    /// The remedy for a session that has ended.
    fn sign_in(&self) -> Option<String> {
        match self {
            Self::SignIn { profile, .. } => Some(sign_in(profile)),
            Self::Login { profile, .. } => Some(login(profile)),
            _ => None,
        }
    }
}

/// A source of credentials whose errors explain the failure.
pub(crate) struct Explained {
    pub(crate) origin: Origin,
    pub(crate) provider: SharedCredentialsProvider,
    pub(crate) trace: Trace,
    /// Time limit of the source, short enough to leave time for reporting it.
    pub(crate) limit: Duration,
}

impl Explained {
    async fn obtain(&self) -> provider::Result {
        let end = Instant::now() + self.limit;
        // The source may fail before it sends a request.
        self.trace.replied(0);
        if let Some(file) = self.origin.file() {
            let checked = file::check(file, self.limit).await;
            if let Some(failed) = checked.err().and_then(|reason| self.unreadable(file, &reason)) {
                return Err(CredentialsError::provider_error(failed));
            }
        }
        let error = match timeout_at(end, self.provider.provide_credentials()).await {
            Ok(Ok(credentials)) => return Ok(credentials),
            Ok(Err(error)) => error,
            Err(_) => CredentialsError::provider_timed_out(self.limit),
        };
        // A nested source has already reported the cause, and settings name themselves.
        let is_known = find::<SourceFailed>(&error).is_some()
            || find::<InvalidSetting>(&error).is_some()
            || find::<Panicked>(&error).is_some()
            || find::<ReplyTooLong>(&error).is_some()
            || find::<InterimFlood>(&error).is_some();
        if is_known {
            return Err(error);
        }
        let failed = self.explain(&error);
        Err(match error {
            CredentialsError::CredentialsNotLoaded(_) => CredentialsError::not_loaded(failed),
            _ => CredentialsError::provider_error(failed),
        })
    }

    /// The reason why the file fails the source. That nobody has signed in yet is reported by the SDK.
    fn unreadable(&self, file: &Path, reason: &Unreadable) -> Option<SourceFailed> {
        if reason.is_missing() && self.origin.sign_in().is_some() {
            return None;
        }
        let cause = if matches!(reason, Unreadable::Slow(_)) { Cause::Slow } else { Cause::TokenFile };
        let name = file.display().to_string();
        let look = format!("ls -l {}", shell_word(&name));
        let hint = match (&self.origin, self.origin.sign_in()) {
            (_, Some(command)) => format!("look at the file ({look}), remove it, and {command}"),
            (Origin::WebIdentity { setting, .. }, _) => {
                format!("check the file that {setting} names: {look}")
            }
            _ => format!("check the file that AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names: {look}"),
        };
        let message = format!("{}: {name:?} ({reason})", cause.words());
        Some(SourceFailed { cause, origin: Some(self.origin.clone()), message, hint: Some(hint) })
    }

    fn explain(&self, error: &CredentialsError) -> SourceFailed {
        let origin = &self.origin;
        let source_failed = |cause: Cause, hint: String| SourceFailed {
            cause,
            origin: Some(origin.clone()),
            message: cause.words().to_owned(),
            hint: Some(hint),
        };
        if let Some(failed) = find::<ProcessFailed>(error) {
            return SourceFailed {
                message: failed.to_string(),
                ..source_failed(failed.cause, process_hint(failed))
            };
        }
        if matches!((origin, error), (Origin::Process { .. }, CredentialsError::ProviderTimedOut(_))) {
            let failed =
                source_failed(Cause::Slow, "run the command by hand, and see what it waits for".to_owned());
            let message =
                format!("{}: credential_process ran for more than {:?}", failed.message, self.limit);
            return SourceFailed { message, ..failed };
        }
        if let Some(cause) = connection(error) {
            let peer = self.trace.peer();
            let message = match &peer {
                Some(peer) => format!("{peer}: {}", cause.words()),
                None => cause.words().to_owned(),
            };
            if matches!(origin, Origin::Instance) {
                return SourceFailed::no_metadata(&message);
            }
            let hint = cause.connection_hint(peer.as_ref(), Environment::PROCESS);
            return SourceFailed { message, ..source_failed(cause, hint) };
        }
        if let Some(status) = self.trace.outage() {
            return self.outage(&format!("HTTP {status}"));
        }
        if let Some((code, message)) = answer(error) {
            return self.answered(&code, &message);
        }
        match origin {
            // The SDK puts it into a header.
            Origin::Container { token: Some(_) }
                if matches!(error, CredentialsError::InvalidConfiguration(_)) =>
            {
                let hint = "check the content of the file that AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names";
                source_failed(Cause::Failed, hint.to_owned())
            }
            _ if matches!(error, CredentialsError::InvalidConfiguration(_)) => {
                source_failed(Cause::Failed, "check the profile in the AWS configuration files".to_owned())
            }
            Origin::SignIn { profile, .. } => source_failed(Cause::SignInEnded, sign_in(profile)),
            Origin::Login { profile, .. } => source_failed(Cause::LoginEnded, login(profile)),
            _ => source_failed(
                Cause::Failed,
                "check whether it provides credentials to other programs: aws sts get-caller-identity"
                    .to_owned(),
            ),
        }
    }

    fn outage(&self, reply: &str) -> SourceFailed {
        let cause = Cause::Outage;
        let message = format!("{} ({reply})", cause.words());
        let hint = "try again: it is overloaded, or out of order".to_owned();
        SourceFailed { cause, origin: Some(self.origin.clone()), message, hint: Some(hint) }
    }

    /// The service that issues the credentials refused.
    fn answered(&self, code: &str, message: &str) -> SourceFailed {
        let Self { origin, .. } = self;
        let code: String = code.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
        let source_failed = |cause: Cause, hint: String| SourceFailed {
            cause,
            origin: Some(origin.clone()),
            message: match denial(message) {
                Some(refusal) => format!("{} ({code}: {refusal})", cause.words()),
                None => format!("{} ({code})", cause.words()),
            },
            hint: Some(hint),
        };
        if is_skewed(&code, message) {
            return source_failed(Cause::ClockSkew, CLOCK.to_owned());
        }
        if is_throttling(&code) {
            return self.outage(&code);
        }
        let is_denied = matches!(&*code, "AccessDenied" | "AccessDeniedException");
        match origin {
            Origin::SignIn { .. } if code == "ForbiddenException" => source_failed(
                Cause::NotAssigned,
                "correct sso_account_id and sso_role_name, or have the permission set assigned: aws sso list-accounts".to_owned(),
            ),
            Origin::SignIn { profile, .. } if code == "UnauthorizedException" || code.starts_with("Invalid") || code.starts_with("Expired") => {
                source_failed(Cause::SignInEnded, sign_in(profile))
            }
            Origin::Login { profile, .. } => source_failed(Cause::LoginEnded, login(profile)),
            Origin::Role { mfa: Some(device), .. } if is_denied => source_failed(
                Cause::MfaNeeded,
                format!(
                    "a program cannot ask for it: export the credentials of aws sts get-session-token --serial-number {} \
                     --token-code CODE, or remove mfa_serial if the role does not require it",
                    shell_word(device)
                ),
            ),
            Origin::Role { arn, profile, .. } if is_denied => source_failed(
                Cause::RoleDenied,
                format!(
                    "check which identity asks (aws sts get-caller-identity --profile {}), then grant it sts:AssumeRole on {arn}, and \
                     name it in the role's trust policy",
                    shell_word(profile)
                ),
            ),
            Origin::WebIdentity { .. } if is_denied || code.contains("Token") || code.contains("IDP") => source_failed(
                Cause::WebIdentityDenied,
                "check the role's trust policy (issuer, audience and subject), and that the token is fresh".to_owned(),
            ),
            _ => source_failed(Cause::Rejected, "check its keys, token or policy: aws sts get-caller-identity".to_owned()),
        }
    }
}

/// The message for a clock that services reject.
pub(crate) const CLOCK: &str =
    "compare it with the true time (date -u), and switch on NTP (timedatectl set-ntp true)";

fn sign_in(profile: &str) -> String {
    format!("sign in: aws sso login --profile {}", shell_word(profile))
}

fn login(profile: &str) -> String {
    format!("sign in: aws login --profile {}", shell_word(profile))
}

fn process_hint(failed: &ProcessFailed) -> String {
    match failed.cause {
        Cause::ProgramMissing => {
            "correct the path in the profile; the PATH of a service differs from that of a login shell"
                .to_owned()
        }
        _ => "run the command by hand as the same user: its error output is not shown here".to_owned(),
    }
}

/// The cause of the connection failure, if the credentials failed because of one.
fn connection(error: &CredentialsError) -> Option<Cause> {
    match Cause::of_connection(error) {
        None if matches!(error, CredentialsError::ProviderTimedOut(_)) => Some(Cause::Slow),
        cause => cause,
    }
}

/// The reason why a source provided no credentials. From a reply, it quotes only parsed names.
#[derive(Clone, Debug)]
pub(crate) struct SourceFailed {
    pub(crate) cause: Cause,
    /// `None` if the caller of the mode names the source.
    origin: Option<Origin>,
    message: String,
    pub(crate) hint: Option<String>,
}

impl SourceFailed {
    pub(crate) fn no_role() -> Self {
        Self {
            cause: Cause::NoRole,
            origin: None,
            message: Cause::NoRole.words().to_owned(),
            hint: Some("attach an instance profile with a role to it".to_owned()),
        }
    }

    pub(crate) fn metadata_off() -> Self {
        Self {
            cause: Cause::MetadataOff,
            origin: None,
            message: format!(
                "{}, because AWS_EC2_METADATA_DISABLED is set",
                Cause::MetadataOff.words()
            ),
            hint: Some(
                "on EC2, remove AWS_EC2_METADATA_DISABLED; elsewhere, set AWS_PROFILE or the access key variables, \
                 and in a program use the default credential chain"
                    .to_owned(),
            ),
        }
    }

    pub(crate) fn no_metadata(reason: &str) -> Self {
        Self {
            cause: Cause::NoMetadata,
            origin: None,
            message: format!("{} ({reason})", Cause::NoMetadata.words()),
            hint: Some(
                "off EC2, set AWS_PROFILE or the access key variables, and in a program use the default credential \
                 chain; in a container on EC2, the metadata hop limit must be 2"
                    .to_owned(),
            ),
        }
    }
}

impl fmt::Display for SourceFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{origin}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl error::Error for SourceFailed {}

/// The error for credentials that could not be obtained; `what` names the source if it does not name itself.
pub(crate) fn unobtained(what: &str, error: &CredentialsError) -> Error {
    let Some(failed) = find::<SourceFailed>(error) else {
        return invalid_setting(error).unwrap_or_else(|| {
            Error::not_applied(ErrorKind::Credentials, format!("{what}: {}", why(error)))
                .with_hint("check whether other programs find any: aws sts get-caller-identity")
        });
    };
    let message = if failed.origin.is_some() { failed.to_string() } else { format!("{what}: {failed}") };
    let error = Error::not_applied(failed.cause.kind(), message);
    let error = match &failed.hint {
        Some(hint) => error.with_hint(hint.clone()),
        None => error,
    };
    error.with_source(failed.clone())
}

impl ProvideCredentials for Explained {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.obtain())
    }
}

impl fmt::Debug for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explained").field("origin", &self.origin).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "explained_tests.rs"]
mod tests;
