//! Endpoints, and the rule about plain HTTP.

use std::{fmt, net::IpAddr};

use ksm_storage_core::Result;

use crate::setting::{Given, InvalidSetting, Setting};

pub(crate) const PLAIN_HTTP: &str =
    "plain http to a host that is not on loopback, so requests could be intercepted";

/// A configured endpoint, and the setting it comes from.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) setting: Setting,
    url: String,
}

impl Endpoint {
    pub(crate) fn parse(given: Given) -> Result<Self> {
        match check(given.as_str()) {
            Ok(()) => Ok(Self { setting: given.setting.clone(), url: given.into_string() }),
            Err(problem) => Err(given.invalid(problem)),
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.url.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"))
    }

    pub(crate) fn is_loopback(&self) -> bool {
        let host = authority(&self.url).and_then(split).map_or("", |(host, _)| host);
        let host = host.trim_matches(['[', ']']);
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    pub(crate) fn plain_http(&self) -> InvalidSetting {
        InvalidSetting::new(&self.setting, PLAIN_HTTP)
    }

    /// True if this endpoint has the host of `uri`.
    pub(crate) fn leads_to(&self, uri: &str) -> bool {
        authority(&self.url)
            .is_some_and(|own| authority(uri).is_some_and(|other| own.eq_ignore_ascii_case(other)))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.setting).finish()
    }
}

/// Accepts `http` or `https`, a host, a port and a path: nothing that could be secret.
fn check(url: &str) -> Result<(), &'static str> {
    if url.len() > 2048 {
        return Err("longer than 2048 characters");
    }
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it has a character that a URL cannot have");
    }
    let (scheme, rest) = url.split_once("://").ok_or("it has no http:// or https:// in front")?;
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err("it begins with neither http:// nor https://");
    }
    if rest.contains(['?', '#']) {
        return Err("it has a query or a fragment");
    }
    if rest.contains(['"', '\'', '<', '>', '\\', '^', '`', '{', '|', '}', '%']) {
        return Err("it has a character that a URL of a service cannot have");
    }
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return Err("it names a user");
    }
    let (host, port) = split(authority).ok_or("its host is malformed")?;
    check_host(host)?;
    match port.map(str::parse::<u16>) {
        None | Some(Ok(1..)) => Ok(()),
        _ => Err("its port is not a number from 1 to 65535"),
    }
}

pub(crate) fn check_host(host: &str) -> Result<(), &'static str> {
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']').unwrap_or_default();
        return match address.parse::<IpAddr>() {
            Ok(IpAddr::V6(_)) => Ok(()),
            _ => Err("its host is not an IPv6 address"),
        };
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    match host {
        "" => Err("it has no host"),
        _ if host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(label) => Ok(()),
        _ => Err("its host is malformed"),
    }
}

/// The reason why requests cannot be sent to a URL, if there is one.
pub(crate) fn problem(url: &str) -> Option<&'static str> {
    check(url).err()
}

/// Host, brackets included, and port.
pub(crate) fn split(authority: &str) -> Option<(&str, Option<&str>)> {
    if authority.starts_with('[') {
        let (host, rest) = authority.split_at(authority.find(']')? + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, Some(port))),
        None => Some((authority, None)),
    }
}

fn authority(uri: &str) -> Option<&str> {
    uri.split_once("://")?.1.split(['/', '?', '#']).next()
}

/// Purpose of a client, which decides the hosts it may contact over plain HTTP besides loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Calls of AWS services.
    Services,
    /// The metadata service of an instance.
    Metadata,
    /// The credentials of a task or pod.
    Container,
}

impl Purpose {
    const fn exceptions(self) -> &'static [&'static str] {
        match self {
            Self::Services => &[],
            Self::Metadata => &["169.254.169.254", "fd00:ec2::254"],
            Self::Container => &["169.254.170.2", "169.254.170.23", "fd00:ec2::23"],
        }
    }

    /// True if a request to `uri` may be sent: over TLS, or to a host where nobody can intercept it.
    pub(crate) fn permits(self, uri: &str) -> bool {
        let Some((scheme, rest)) = uri.split_once("://") else { return false };
        if scheme.eq_ignore_ascii_case("https") {
            return true;
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        // Text before the last `@` is a user name, which may look like a host.
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let Some((host, _)) = split(authority) else { return false };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.eq_ignore_ascii_case("localhost") {
            return scheme.eq_ignore_ascii_case("http");
        }
        let Ok(address) = host.parse::<IpAddr>() else { return false };
        let excepted = self.exceptions().iter().any(|known| known.parse() == Ok(address));
        scheme.eq_ignore_ascii_case("http") && (address.is_loopback() || excepted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback() {
        for uri in [
            "http://127.0.0.1:4566/",
            "http://localhost/",
            "http://[::1]:1/x",
            "http://user:password@localhost:1/",
            "http://localhost/@example.com",
            "https://example.com/",
        ] {
            assert!(Purpose::Services.permits(uri), "{uri}");
        }
        for uri in [
            "http://example.com/",
            "http://127.0.0.1.example.com/",
            "http://localhost@example.com/",
            "http://localhost:x@example.com:1/",
            "http://[::1]@example.com/",
            "http://a@localhost:x@example.com/",
            "HTTP://example.com/",
            "http://0.0.0.0/",
            "http://169.254.169.254/",
            "http://169.254.170.2/",
            "ftp://127.0.0.1/",
            "http://",
            "/",
            "",
        ] {
            assert!(!Purpose::Services.permits(uri), "{uri}");
        }
    }

    #[test]
    fn exceptions_are_for_their_own_client() {
        let metadata =
            ["http://169.254.169.254/latest", "http://[fd00:ec2::254]/latest", "http://[FD00:EC2:0::254]/"];
        let container = ["http://169.254.170.2/v2", "http://169.254.170.23/v1", "http://[fd00:ec2::23]/v1"];
        for (uris, own, other) in [
            (metadata, Purpose::Metadata, Purpose::Container),
            (container, Purpose::Container, Purpose::Metadata),
        ] {
            for uri in uris {
                assert!(own.permits(uri) && !other.permits(uri) && !Purpose::Services.permits(uri), "{uri}");
            }
        }
        assert!(!Purpose::Metadata.permits("http://169.254.169.253/"));
    }

    #[test]
    fn endpoints_are_urls_of_services() {
        for url in [
            "http://localhost:4566",
            "https://vpce-1.secretsmanager.us-east-1.vpce.amazonaws.com",
            "https://[fd00::1]:8443/base/",
            "HTTPS://example.com.",
        ] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
        for (url, problem) in [
            ("localhost:4566", "no http://"),
            ("\"http://localhost\"", "neither"),
            ("http:/localhost", "no http://"),
            ("http://", "no host"),
            ("http:///x", "no host"),
            ("http://local host", "character"),
            ("http://a\u{e9}", "character"),
            ("http://localhost:0", "port"),
            ("http://localhost:", "port"),
            ("http://localhost:65536", "port"),
            ("http://localhost:x", "port"),
            ("http://[::1", "host is malformed"),
            ("http://[::1]x", "host is malformed"),
            ("http://[127.0.0.1]", "IPv6"),
            ("http://-..-", "host is malformed"),
            ("http://key:s3cret@localhost", "names a user"),
            ("http://localhost?x", "query"),
            ("http://localhost/\"", "character"),
            ("ftp://localhost", "neither"),
        ] {
            assert!(check(url).is_err_and(|found| found.contains(problem)), "{url}: {:?}", check(url));
        }
        assert!(check(&format!("http://{}", "a".repeat(5000))).is_err());
    }
}
