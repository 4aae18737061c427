//! The host of a request and the proxy in between, with the settings that name them, for errors.

use std::{ffi::OsString, fmt};

use hyper_util::client::proxy::matcher::Matcher;
use ksm_storage_core::{ConfigDocument, ConfigKey, ExposeSecret};

use crate::{config, session::Purpose, settings::Settings};

/// A host that a request was sent to. `Display` names the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Host and port, on one line.
    pub(crate) host: String,
    pub(crate) setting: &'static str,
    pub(crate) proxy: Option<Proxy>,
}

/// A proxy, without user and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(crate) variable: &'static str,
    address: String,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (from {})", self.host, self.setting)?;
        match &self.proxy {
            Some(Proxy { variable, address }) => write!(f, " through the proxy {address} (from {variable})"),
            None => Ok(()),
        }
    }
}

/// The setting that names the host of a session's requests, in the order in which the SDK considers them (17.3.0).
pub(crate) fn setting(
    settings: &Settings,
    environment: impl Fn(&str) -> Option<OsString>,
    purpose: &Purpose,
    document: &ConfigDocument,
) -> &'static str {
    if environment("KSM_HOSTNAME").is_some_and(|value| !value.is_empty()) {
        return "KSM_HOSTNAME";
    }
    let stored = config::text(document, ConfigKey::Hostname).filter(|host| !host.is_empty());
    match purpose {
        Purpose::Bind(Some(token)) if token.host().is_some() => "the one-time token",
        Purpose::Bind(_) if settings.hostname.is_some() && settings.hostname.as_deref() == stored => {
            "the setting hostname or --host"
        }
        _ if stored.is_some() => "the stored hostname",
        _ => "the default, because no hostname is stored",
    }
}

/// The proxy that a request goes through.
pub(crate) fn proxy(
    settings: &Settings,
    environment: impl Fn(&str) -> Option<OsString>,
    url: &str,
) -> Option<Proxy> {
    let text = |name| environment(name)?.into_string().ok();
    // Like reqwest, which stops at the first variable of a pair that exists, even if it is empty.
    let first = |names: [&'static str; 2]| {
        let found = names.into_iter().find_map(|name| Some((name, text(name)?)));
        found.filter(|(_, value)| !value.is_empty())
    };
    let (variable, value, exceptions) = if let Some(url) = &settings.proxy_url {
        ("proxy_url", url.expose_secret().to_owned(), String::new())
    } else if environment("REQUEST_METHOD").is_some() {
        return None;
    } else {
        let (variable, value) =
            first(["HTTPS_PROXY", "https_proxy"]).or_else(|| first(["ALL_PROXY", "all_proxy"]))?;
        (variable, value, first(["NO_PROXY", "no_proxy"]).map(|(_, value)| value).unwrap_or_default())
    };
    let matcher = Matcher::builder().https(value).no(exceptions).build();
    let found = matcher.intercept(&url.parse().ok()?)?;
    // This URI contains neither user nor password.
    let address = format!("{}://{}", found.uri().scheme_str()?, found.uri().authority()?);
    Some(Proxy { variable, address: address.escape_debug().collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Token;

    fn with(variables: &[(&'static str, &'static str)]) -> impl Fn(&str) -> Option<OsString> {
        move |name| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| OsString::from(value))
    }

    #[test]
    fn proxies_are_named_by_variable() {
        let url = "https://keepersecurity.com/api/rest/sm/v1/get_secret";
        let user = "http://user:s3cret@proxy:3128";
        for (variables, expected) in [
            (&[][..], None),
            (&[("HTTPS_PROXY", user)], Some("HTTPS_PROXY")),
            (&[("https_proxy", user), ("ALL_PROXY", "http://other:1")], Some("https_proxy")),
            (&[("HTTPS_PROXY", ""), ("ALL_PROXY", "proxy:3128")], Some("ALL_PROXY")),
            (&[("all_proxy", user), ("HTTP_PROXY", "http://other:1")], Some("all_proxy")),
            (&[("HTTP_PROXY", user)], None),
            (&[("HTTPS_PROXY", user), ("NO_PROXY", ".corp.example,keepersecurity.com")], None),
            (&[("HTTPS_PROXY", user), ("REQUEST_METHOD", "GET")], None),
        ] {
            let found = proxy(&Settings::default(), with(variables), url);
            assert_eq!(found.as_ref().map(|proxy| proxy.variable), expected, "{variables:?}");
            assert!(found.is_none_or(|proxy| proxy.address == "http://proxy:3128"), "{variables:?}");
        }
        let ours = Settings { proxy_url: Some("http://user:s3cret@ours:3128".into()), ..Settings::default() };
        let found = proxy(&ours, with(&[("HTTPS_PROXY", user), ("NO_PROXY", "*")]), url).unwrap();
        assert_eq!((found.variable, &*found.address), ("proxy_url", "http://ours:3128"));
    }

    #[test]
    fn hosts_are_named_by_setting() {
        let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
        let bind = |token: &str| Purpose::Bind(Some(Token::parse(&token.into()).unwrap()));
        let ours = Settings { hostname: Some("ours.example".into()), ..Settings::default() };
        let none = Settings::default();
        let variable = [("KSM_HOSTNAME", "EU")];
        for (settings, variables, purpose, stored, expected) in [
            (&ours, &variable[..], bind(&format!("EU:{key}")), "ours.example", "KSM_HOSTNAME"),
            (&ours, &[], bind(&format!("EU:{key}")), "keepersecurity.eu", "the one-time token"),
            (&ours, &[("KSM_HOSTNAME", "")], bind(key), "ours.example", "the setting hostname or --host"),
            (&ours, &[], Purpose::Bind(None), "ours.example", "the setting hostname or --host"),
            (&none, &[], Purpose::Bind(None), "ours.example", "the stored hostname"),
            (&ours, &[], Purpose::Work, "ours.example", "the stored hostname"),
            (&ours, &[], Purpose::Work, "", "the default, because no hostname is stored"),
        ] {
            let stored = ConfigDocument::parse(format!(r#"{{"hostname":"{stored}"}}"#).as_bytes()).unwrap();
            assert_eq!(setting(settings, with(variables), &purpose, &stored), expected);
        }
    }
}
