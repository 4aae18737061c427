//! The host that a request went to, for errors.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
};

use crate::{endpoint::Endpoint, environment::Environment, http};

/// The host that a client contacted last, shared by all its connections.
///
/// A timed-out request is dropped without an error of its own, so only this tells where it went.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    /// The configured endpoints, to name the setting.
    endpoints: Arc<[Endpoint]>,
    /// The region that names all other hosts, and its origin.
    region: Option<Arc<(String, String)>>,
    last: Arc<Mutex<Option<String>>>,
    /// The HTTP status of the last reply, or 0.
    status: Arc<AtomicU16>,
}

impl From<Vec<Endpoint>> for Trace {
    fn from(endpoints: Vec<Endpoint>) -> Self {
        Self { endpoints: endpoints.into(), ..Self::default() }
    }
}

impl Trace {
    /// A trace of requests to these endpoints, or to those of the region.
    pub(crate) fn new(endpoints: Vec<Endpoint>, region: &str, origin: &str) -> Self {
        let region = Some((region.to_owned(), origin.to_owned()).into());
        Self { region, ..Self::from(endpoints) }
    }

    /// Records the start of a request for `uri`.
    pub(crate) fn note(&self, uri: &str) {
        // A path may be secret.
        let origin = uri.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(origin);
        self.replied(0);
    }

    /// Records the HTTP status of a reply.
    pub(crate) fn replied(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// The status of the last reply, if the server failed or asked for fewer requests.
    pub(crate) fn outage(&self) -> Option<u16> {
        Some(self.status.load(Ordering::Relaxed)).filter(|status| *status == 429 || *status >= 500)
    }

    /// The setting whose endpoint has the host of `uri`.
    pub(crate) fn endpoint(&self, uri: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.leads_to(uri))
    }

    /// The setting that selected the host of `uri`.
    fn setting(&self, uri: &str, host: &str) -> Option<String> {
        if let Some(endpoint) = self.endpoint(uri) {
            return Some(endpoint.setting.to_string());
        }
        let (region, origin) = self.region.as_deref()?;
        host.split('.').any(|label| label == region).then(|| format!("the region in {origin}"))
    }

    /// The host that was contacted last, if any.
    pub(crate) fn peer(&self) -> Option<Peer> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        last.and_then(|uri| Peer::of(&uri, self, Environment::PROCESS))
    }
}

/// A host, and why it was contacted. `Display` names it with its setting, and the proxy in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    scheme: String,
    host: String,
    port: u16,
    /// The variable, profile key or method that names it.
    setting: Option<String>,
    /// The proxy in between: its address, and the variable that names it.
    pub(crate) proxy: Option<Proxy>,
}

/// A proxy's address without user and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(crate) variable: &'static str,
    pub(crate) address: String,
}

impl Peer {
    pub(crate) fn of(uri: &str, trace: &Trace, environment: Environment) -> Option<Self> {
        let (scheme, rest) = uri.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let authority = rest.split(['/', '?', '#']).next()?.rsplit('@').next()?;
        let (host, port) = crate::endpoint::split(authority)?;
        let port = match port {
            Some(port) => port.parse().ok()?,
            None if scheme == "https" => 443,
            None => 80,
        };
        Some(Self {
            host: host.escape_debug().collect(),
            port,
            setting: trace.setting(uri, host),
            proxy: http::proxy_of(environment, uri),
            scheme,
        })
    }

    /// The setting that selected the host, if it is known.
    pub(crate) fn setting(&self) -> Option<&str> {
        self.setting.as_deref()
    }

    /// The host's name or address, without brackets.
    pub fn host(&self) -> &str {
        self.host.trim_matches(['[', ']'])
    }

    /// Host and port to connect to: those of the proxy, if there is one.
    pub fn first_hop(&self) -> (&str, u16) {
        let Some(proxy) = &self.proxy else { return (self.host(), self.port) };
        let (scheme, authority) = proxy.address.split_once("://").unwrap_or(("http", &proxy.address));
        let default = if scheme == "https" { 443 } else { 80 };
        let (host, port) = crate::endpoint::split(authority).unwrap_or((authority, None));
        let port = port.and_then(|port| port.parse().ok()).unwrap_or(default);
        (host.trim_matches(['[', ']']), port)
    }

    /// The variable that names the proxy, if there is one.
    pub fn proxy_variable(&self) -> Option<&'static str> {
        self.proxy.as_ref().map(|proxy| proxy.variable)
    }

    /// Returns true if requests are encrypted on the network.
    pub fn is_secured(&self) -> bool {
        self.scheme == "https"
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port, setting, proxy } = self;
        write!(f, "{scheme}://{host}:{port}")?;
        if let Some(setting) = setting {
            write!(f, " (from {setting})")?;
        }
        match proxy {
            Some(Proxy { variable, address }) => write!(f, " through the proxy {address} (from {variable})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setting::{Given, Setting};

    #[test]
    fn peers_are_named_with_their_setting() {
        let given =
            Given::new(Setting::Variable("AWS_ENDPOINT_URL"), "https://[::1]:8443/x").unwrap().unwrap();
        let trace = Trace::from(vec![Endpoint::parse(given).unwrap()]);
        let named = |uri: &str, environment| Peer::of(uri, &trace, environment).unwrap().to_string();
        let none = Environment(|_| None);
        let regional = Trace::new(Vec::new(), "us-east-9", "AWS_REGION");
        let of_region = |uri: &str| Peer::of(uri, &regional, none).unwrap().to_string();
        assert_eq!(
            of_region("https://secretsmanager.us-east-9.amazonaws.com"),
            "https://secretsmanager.us-east-9.amazonaws.com:443 (from the region in AWS_REGION)"
        );
        assert_eq!(of_region("https://example.com"), "https://example.com:443");
        assert_eq!(named("https://[::1]:8443/x", none), "https://[::1]:8443 (from AWS_ENDPOINT_URL)");
        assert_eq!(named("https://example.com/x", none), "https://example.com:443");
        assert_eq!(named("http://localhost", none), "http://localhost:80");
        let proxied = Environment(|name| match name {
            "https_proxy" => Some("http://user:s3cret@proxy:3128".into()),
            "NO_PROXY" => Some(".corp.example".into()),
            _ => None,
        });
        assert_eq!(
            named("https://example.com/", proxied),
            "https://example.com:443 through the proxy http://proxy:3128 (from https_proxy)"
        );
        assert_eq!(named("https://x.corp.example/", proxied), "https://x.corp.example:443");
        assert_eq!(named("http://example.com/", proxied), "http://example.com:80");
        assert!(Peer::of("nothing", &trace, none).is_none());

        let hop = |uri, environment| {
            let peer = Peer::of(uri, &trace, environment).unwrap();
            let (host, port) = peer.first_hop();
            (format!("{host} {port}"), peer.proxy_variable(), peer.is_secured())
        };
        assert_eq!(hop("https://example.com/", proxied), ("proxy 3128".into(), Some("https_proxy"), true));
        assert_eq!(hop("https://[::1]:8443/x", none), ("::1 8443".into(), None, true));
        assert_eq!(hop("http://localhost", proxied), ("localhost 80".into(), None, false));
        let default = Environment(|name| (name == "HTTPS_PROXY").then(|| "[fd00::1]".into()));
        assert_eq!(hop("https://example.com/", default).0, "fd00::1 80");
    }
}
