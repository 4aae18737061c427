//! Proxy settings, read from the environment like `curl` and the AWS SDKs do.

use hyper_util::client::proxy::matcher::Matcher;
use ksm_storage_core::Result;

#[cfg(any(feature = "tls-aws-lc", feature = "tls-ring"))]
use crate::setting::InvalidSetting;
use crate::{
    endpoint::{check_host, split},
    environment::Environment,
    setting::{Given, Setting},
    trace::Proxy,
};

/// In pairs: upper case takes precedence.
const HTTPS: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
const HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const EXCEPTIONS: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// Checks the variables before anything is sent: whoever sets one wants no connection to bypass it.
pub(crate) fn check(environment: Environment) -> Result<()> {
    for name in HTTPS.into_iter().chain(HTTP) {
        if let Some(given) = environment.given(name)? {
            url(&given)?;
        }
    }
    exceptions(environment).map(drop)
}

/// The proxy for HTTPS requests, and its exceptions.
#[cfg(any(feature = "tls-aws-lc", feature = "tls-ring"))]
pub(super) fn config(environment: Environment) -> Result<Option<Matcher>, InvalidSetting> {
    let config = || {
        check(environment)?;
        matcher(environment)
    };
    config().map_err(|error| InvalidSetting::of(&error, "HTTPS_PROXY"))
}

/// The proxy that a request for `uri` goes through.
pub(crate) fn of(environment: Environment, uri: &str) -> Option<Proxy> {
    let is_https = uri.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
    if !is_https {
        return None;
    }
    let proxy = matcher(environment).ok()??.intercept(&uri.parse().ok()?)?;
    // The URI that the matcher returns contains neither user nor password.
    let address = format!("{}://{}", proxy.uri().scheme_str()?, proxy.uri().authority()?);
    let given = first(environment, HTTPS).ok()??;
    let variable = HTTPS.into_iter().find(|name| given.setting == Setting::Variable(name))?;
    Some(Proxy { variable, address })
}

fn matcher(environment: Environment) -> Result<Option<Matcher>> {
    // A CGI server sets this variable, and would turn a request header `Proxy` into `HTTP_PROXY`.
    if (environment.0)("REQUEST_METHOD").is_some() {
        return Ok(None);
    }
    let Some(given) = first(environment, HTTPS)? else { return Ok(None) };
    Ok(Some(Matcher::builder().https(url(&given)?).no(exceptions(environment)?).build()))
}

fn first<const N: usize>(environment: Environment, names: [&'static str; N]) -> Result<Option<Given>> {
    for name in names {
        if let Some(given) = environment.given(name)? {
            return Ok(Some(given));
        }
    }
    Ok(None)
}

/// `http://HOST:PORT`, optionally with user and password, or without the scheme.
fn url(given: &Given) -> Result<String> {
    let (scheme, rest) = given.as_str().split_once("://").unwrap_or(("http", given.as_str()));
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(given.invalid("its scheme is neither http nor https"));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (user, address) = match authority.rsplit_once('@') {
        Some((user, address)) => (Some(user), address),
        None => (None, authority),
    };
    let is_user = |user: &str| {
        user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:%".contains(&byte))
    };
    if user.is_some_and(|user| !is_user(user)) {
        return Err(given.invalid("its user or password has a character that must be percent-encoded"));
    }
    let (host, port) = split(address).ok_or_else(|| given.invalid("its host is malformed"))?;
    check_host(host).map_err(|problem| given.invalid(problem))?;
    if !matches!(port.map(str::parse::<u16>), None | Some(Ok(1..))) {
        return Err(given.invalid("its port is not a number from 1 to 65535"));
    }
    Ok(format!("{}://{authority}", scheme.to_ascii_lowercase()))
}

/// Hosts, addresses and networks, separated by commas or blanks, in the format of the SDK.
fn exceptions(environment: Environment) -> Result<String> {
    let Some(given) = first(environment, EXCEPTIONS)? else { return Ok(String::new()) };
    let entries = given.as_str().split([',', ' ']).filter(|entry| !entry.is_empty());
    let entries = entries.map(|entry| {
        if !is_exception(entry) {
            return Err(given.invalid("expected host names, addresses and networks, separated by commas"));
        }
        // The SDK writes `*.example.com` as `.example.com`.
        Ok(entry.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(entry))
    });
    Ok(entries.collect::<Result<Vec<_>>>()?.join(","))
}

fn is_exception(entry: &str) -> bool {
    if entry == "*" {
        return true;
    }
    if let Some((address, bits)) = entry.split_once('/') {
        let longest = match address.parse() {
            Ok(std::net::IpAddr::V4(_)) => 32,
            Ok(std::net::IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        return bits.parse::<u8>().is_ok_and(|bits| bits <= longest);
    }
    if entry.parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
    let entry = entry.strip_prefix('*').unwrap_or(entry);
    let entry = entry.strip_prefix('.').unwrap_or(entry);
    split(entry).is_some_and(|(host, port)| {
        check_host(host).is_ok() && port.is_none_or(|port| port.parse::<u16>().is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setting::Setting;

    #[test]
    fn proxies_are_urls_of_hosts() {
        let given = |value: &str| Given::new(Setting::Variable("HTTPS_PROXY"), value).unwrap().unwrap();
        for (value, expected) in [
            ("http://proxy:3128", "http://proxy:3128"),
            ("proxy.corp.example:3128", "http://proxy.corp.example:3128"),
            ("HTTPS://user:p%40ss@[::1]:3128/", "https://user:p%40ss@[::1]:3128"),
            ("10.0.0.1", "http://10.0.0.1"),
        ] {
            let url = url(&given(value)).unwrap();
            assert_eq!(url, expected);
            let server = "https://secretsmanager.us-east-1.amazonaws.com".parse().unwrap();
            assert!(Matcher::builder().https(url).build().intercept(&server).is_some());
        }
        for value in [
            "not a proxy",
            "http://",
            "http:///proxy",
            "http:/proxy",
            "socks5://proxy:1080",
            "http://proxy:port",
            "http://proxy:0",
            "http://proxy:99999",
            "http://us er:s3cret@proxy:1",
            "http://user:s3cret\"@proxy:1",
            "http://[::1",
            "\"http://proxy:3128\"",
            "pr\u{f6}xy:1",
            "://proxy",
        ] {
            let error = url(&given(value)).unwrap_err().to_string();
            assert!(error.contains("invalid HTTPS_PROXY: ") && !error.contains("s3cret"), "{value}: {error}");
        }
    }

    #[test]
    fn exceptions_are_hosts_and_networks() {
        for entry in
            ["*", "localhost", ".corp.example", "*.corp.example", "10.0.0.0/8", "fd00::/8", "::1", "host:443"]
        {
            assert!(is_exception(entry), "{entry}");
        }
        for entry in
            ["http://host", "10.0.0.0/33", "host/8", "10.0.0.0/x", "\"localhost\"", "h\u{f6}st", "a*b"]
        {
            assert!(!is_exception(entry), "{entry}");
        }
    }
}
