//! Finds the cause of a failure in the chain of its sources.

use std::{error, io};

use aws_smithy_runtime_api::client::result::ConnectorError;
use ksm_storage_core::{ErrorKind, shell_word};

use crate::{
    environment::Environment,
    http::NeverSent,
    trace::{Peer, Proxy},
};

/// The cause of a failure. Each has its own message, which `docs/operations.md` explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(any(test, feature = "tls-aws-lc", feature = "tls-ring")),
    expect(dead_code, reason = "without TLS no handshake fails")
)]
pub(crate) enum Cause {
    NameNotFound,
    Refused,
    Unreachable,
    UnknownIssuer,
    WrongName,
    ExpiredCertificate,
    EarlyCertificate,
    Handshake,
    ProxyLogin,
    ProxyRefused,
    ConnectTimeout,
    ReplyTimeout,
    Broken,
    ClockSkew,
    SignInEnded,
    NotAssigned,
    LoginEnded,
    RoleDenied,
    MfaNeeded,
    WebIdentityDenied,
    TokenFile,
    ProgramMissing,
    ProgramFailed,
    Slow,
    NoRole,
    NoMetadata,
    MetadataOff,
    NoSource,
    Outage,
    Rejected,
    Failed,
}

impl Cause {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 31] = [
        Self::NameNotFound,
        Self::Refused,
        Self::Unreachable,
        Self::UnknownIssuer,
        Self::WrongName,
        Self::ExpiredCertificate,
        Self::EarlyCertificate,
        Self::Handshake,
        Self::ProxyLogin,
        Self::ProxyRefused,
        Self::ConnectTimeout,
        Self::ReplyTimeout,
        Self::Broken,
        Self::ClockSkew,
        Self::SignInEnded,
        Self::NotAssigned,
        Self::LoginEnded,
        Self::RoleDenied,
        Self::MfaNeeded,
        Self::WebIdentityDenied,
        Self::TokenFile,
        Self::ProgramMissing,
        Self::ProgramFailed,
        Self::Slow,
        Self::NoRole,
        Self::NoMetadata,
        Self::MetadataOff,
        Self::NoSource,
        Self::Outage,
        Self::Rejected,
        Self::Failed,
    ];

    /// The message that distinguishes this cause from every other.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::NameNotFound => "the host name cannot be resolved",
            Self::Refused => "the connection was refused",
            Self::Unreachable => "the host cannot be reached",
            Self::UnknownIssuer => "the issuer of its certificate is not trusted",
            Self::WrongName => "its certificate is for another host name",
            Self::ExpiredCertificate => "its certificate has expired",
            Self::EarlyCertificate => "its certificate is not valid yet",
            Self::Handshake => "the TLS handshake failed",
            Self::ProxyLogin => "the proxy requires a user and a password (407)",
            Self::ProxyRefused => "the proxy did not connect",
            Self::ConnectTimeout => "no connection could be made in time",
            Self::ReplyTimeout => "no reply arrived in time",
            Self::Broken => "the connection broke",
            Self::ClockSkew => "the clock of this host is wrong",
            Self::SignInEnded => "the IAM Identity Center session is missing or has expired",
            Self::NotAssigned => "the IAM Identity Center user has no access to the account with this role",
            Self::LoginEnded => "the `aws login` session is missing or has expired",
            Self::RoleDenied => "the role may not be assumed",
            Self::MfaNeeded => "the role requires a code of an MFA device",
            Self::WebIdentityDenied => "STS rejected the web identity token",
            Self::TokenFile => "the token file cannot be read",
            Self::ProgramMissing => "credential_process is not a program that can be run",
            Self::ProgramFailed => "credential_process failed",
            Self::Slow => "no credentials were obtained in time",
            Self::NoRole => "the instance has no IAM role",
            Self::NoMetadata => "the instance metadata service did not answer",
            Self::MetadataOff => "the instance metadata service was not asked",
            Self::NoSource => "no credentials were found",
            Self::Outage => "the service that issues the credentials is not available",
            Self::Rejected => "the source of the credentials refused",
            Self::Failed => "the source of the credentials failed",
        }
    }

    /// The error kind, if this occurred before a request was made on the caller's behalf.
    pub(crate) const fn kind(self) -> ErrorKind {
        match self {
            Self::NameNotFound
            | Self::Refused
            | Self::Unreachable
            | Self::ProxyRefused
            | Self::Broken
            | Self::Outage => ErrorKind::Unavailable,
            Self::ConnectTimeout | Self::ReplyTimeout | Self::Slow => ErrorKind::Timeout,
            Self::ProxyLogin => ErrorKind::InvalidArgument,
            _ if self.is_distrust() => ErrorKind::Unexpected,
            _ => ErrorKind::Credentials,
        }
    }

    /// True if TLS cannot be established with the peer.
    pub(crate) const fn is_distrust(self) -> bool {
        matches!(
            self,
            Self::UnknownIssuer
                | Self::WrongName
                | Self::ExpiredCertificate
                | Self::EarlyCertificate
                | Self::Handshake
        )
    }

    /// The cause of a connection that was not made, broke, or brought no reply.
    pub(crate) fn of_connection(error: &(dyn error::Error + 'static)) -> Option<Self> {
        if let Some(cause) = chain(error).find_map(of_handshake) {
            return Some(cause);
        }
        let connector = find::<ConnectorError>(error);
        let is_sent = find::<NeverSent>(error).is_none();
        if let Some(cause) = chain(error).find_map(|error| of_tunnel(&error.to_string())) {
            return Some(cause);
        }
        let connector = match connector {
            Some(connector) if connector.is_user() => return None,
            Some(connector) => connector,
            None => return chain(error).any(is_timeout).then_some(Self::ReplyTimeout),
        };
        match chain(error).find_map(|error| of_io(error, is_sent)) {
            _ if connector.is_timeout() && is_sent => Some(Self::ReplyTimeout),
            _ if connector.is_timeout() => Some(Self::ConnectTimeout),
            Some(cause) => Some(cause),
            None if !is_sent => Some(Self::Unreachable),
            None => Some(Self::Broken),
        }
    }

    /// The hint for a connection to this host.
    pub(crate) fn connection_hint(self, peer: Option<&Peer>, environment: Environment) -> String {
        let proxy = peer.and_then(|peer| peer.proxy.as_ref()).map(|Proxy { variable, .. }| *variable);
        match (self, proxy) {
            (Self::NameNotFound, Some(variable)) => {
                return format!("check the proxy's host name in {variable}, and DNS");
            }
            (Self::Refused | Self::Unreachable | Self::ConnectTimeout, Some(variable)) => {
                return format!(
                    "check that the proxy is up and can be reached, or correct {variable}; if this host needs no proxy, \
                     name it in NO_PROXY"
                );
            }
            _ => {}
        }
        match self {
            Self::NameNotFound => {
                let host = peer.map_or("HOST", Peer::host);
                format!("check region, endpoint and DNS: getent hosts {}", shell_word(host))
            }
            Self::Refused => "check that a server listens there, and that no firewall rejects it".to_owned(),
            Self::UnknownIssuer => {
                let bundle = ["AWS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"]
                    .into_iter()
                    .find(|name| (environment.0)(name).is_some_and(|value| !value.is_empty()));
                match bundle {
                    Some(name) => format!(
                        "only the certificates that {name} names are trusted: add the issuer's root certificate to them"
                    ),
                    None => "if a proxy inspects TLS, set AWS_CA_BUNDLE to a PEM file with its root certificate and \
                             those of the system"
                        .to_owned(),
                }
            }
            Self::WrongName => "check the endpoint: its host name must be in the certificate".to_owned(),
            Self::ExpiredCertificate | Self::EarlyCertificate => {
                "check the clock of this host (date -u), then the certificate".to_owned()
            }
            Self::Handshake => "check that this port speaks TLS, and that no proxy intercepts it".to_owned(),
            Self::ProxyLogin => format!(
                "put them into the proxy's URL, percent-encoded, in {}: http://USER:PASSWORD@HOST:PORT",
                proxy.unwrap_or("HTTPS_PROXY")
            ),
            Self::ProxyRefused => {
                "check that the proxy allows this host and port, or name the host in NO_PROXY".to_owned()
            }
            _ => match peer.and_then(Peer::setting) {
                Some(setting) => format!("check {setting}, network, proxy and VPC endpoint"),
                None => "check network, proxy, VPC endpoint and region".to_owned(),
            },
        }
    }
}

/// The errors from this one to its root cause.
pub(crate) fn chain<'a>(
    error: &'a (dyn error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn error::Error + 'static)> {
    // The source of an I/O error is the source of the error it wraps, which would itself be skipped.
    std::iter::successors(Some(error), |error| {
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn error::Error + 'static)),
            None => error.source(),
        }
    })
}

pub(crate) fn find<'a, E: error::Error + 'static>(error: &'a (dyn error::Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|error| error.downcast_ref())
}

#[cfg(any(feature = "tls-aws-lc", feature = "tls-ring"))]
fn of_handshake(error: &(dyn error::Error + 'static)) -> Option<Cause> {
    use rustls::{CertificateError as Certificate, Error};

    Some(match error.downcast_ref::<Error>()? {
        Error::InvalidCertificate(certificate) => match certificate {
            // `BadSignature` means another issuer of the same name.
            Certificate::UnknownIssuer | Certificate::BadSignature => Cause::UnknownIssuer,
            Certificate::Expired | Certificate::ExpiredContext { .. } => Cause::ExpiredCertificate,
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => Cause::EarlyCertificate,
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => Cause::WrongName,
            _ => Cause::Handshake,
        },
        _ => Cause::Handshake,
    })
}

#[cfg(not(any(feature = "tls-aws-lc", feature = "tls-ring")))]
fn of_handshake(_: &(dyn error::Error + 'static)) -> Option<Cause> {
    None
}

/// Matches message texts of hyper-util, which does not export the type.
fn of_tunnel(text: &str) -> Option<Cause> {
    Some(match text.strip_prefix("tunnel error: ")? {
        "proxy authorization required" => Cause::ProxyLogin,
        // The source of this error has the details.
        "failed to create underlying connection" | "io error establishing tunnel" => return None,
        _ => Cause::ProxyRefused,
    })
}

fn of_io(error: &(dyn error::Error + 'static), is_sent: bool) -> Option<Cause> {
    // Matches message texts of hyper-util, which does not export the type.
    if error.to_string().starts_with("dns error") {
        return Some(Cause::NameNotFound);
    }
    match error.downcast_ref::<io::Error>()?.kind() {
        io::ErrorKind::ConnectionRefused => Some(Cause::Refused),
        io::ErrorKind::TimedOut if !is_sent => Some(Cause::ConnectTimeout),
        _ => None,
    }
}

/// Matches message texts of the SDK, which does not export the types.
fn is_timeout(error: &(dyn error::Error + 'static)) -> bool {
    let text = error.to_string();
    text.starts_with("operation") && text.contains(" timeout ") && text.contains(" occurred after ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_have_distinct_words() {
        for (index, cause) in Cause::ALL.into_iter().enumerate() {
            for other in &Cause::ALL[index + 1..] {
                let (words, others) = (cause.words(), other.words());
                assert!(!words.contains(others) && !others.contains(words), "{words}, {others}");
            }
        }
    }
}
