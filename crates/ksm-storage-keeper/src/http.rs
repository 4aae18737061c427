//! The HTTP client for Keeper's service.
//!
//! The SDK's own client reads replies of any size into memory, limits the time of body and headers separately, and
//! follows redirects. Requests therefore go through this client, with the headers that the SDK sends. File downloads
//! and uploads go to a storage service and bypass it.
//!
//! TLS is also set up here. By default, reqwest would add aws-lc to the TLS library of the AWS backend; gathering its
//! entropy takes longer than the rest of a start.

use std::{error::Error as _, io, io::Read, iter, sync::Arc, time::Duration};

use keeper_secrets_manager_core::dto::{EncryptedPayload, KsmHttpResponse, TransmissionKey};
use ksm_storage_core::ExposeSecret;
use ksm_storage_tls::{InvalidRoots, Roots};
use reqwest::{
    Url,
    blocking::{Client, RequestBuilder},
    header::{AUTHORIZATION, CONTENT_TYPE},
    redirect,
};
use rustls::{ClientConfig, ConfigBuilder, WantsVerifier, crypto::CryptoProvider};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    ahead::Ahead,
    peer::{Peer, Proxy},
    settings::Settings,
};

/// The maximum size of an accepted reply, which contains all records that an application may read, without files.
pub(crate) const MAX_REPLY: u64 = 32 << 20;
/// The maximum size of a rejection.
pub(crate) const MAX_REJECTION: u64 = 64 << 10;

#[derive(Clone)]
pub(crate) struct HttpClient {
    client: Client,
    timeout: Duration,
    /// The connection that was begun, and its host.
    ahead: Option<(Ahead, String)>,
}

/// The reason why a request has no usable reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoReply {
    /// DNS does not know the host name.
    Dns,
    Refused,
    Timeout,
    UnknownIssuer,
    WrongName,
    Expired,
    Tls,
    /// No HTTP client could be created.
    NoClient,
    ProxyLogin,
    Proxy,
    TooLarge,
    /// The reply is not encrypted for this client: it comes from another server.
    Foreign,
    /// Any other failure of the connection.
    Broken,
}

impl NoReply {
    /// The cause, as in docs/operations.md.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Dns => "the host name has no address",
            Self::Refused => "the connection was refused",
            Self::Timeout => "no complete reply within the time limit",
            Self::UnknownIssuer => "the certificate's issuer is unknown",
            Self::WrongName => "the certificate is for another host",
            Self::Expired => "the certificate is not valid now",
            Self::Tls => "TLS failed",
            Self::NoClient => "no HTTP client could be created",
            Self::ProxyLogin => "the proxy asks for a login",
            Self::Proxy => "the proxy does not connect to it",
            Self::TooLarge => "the reply exceeds the limit of 32 MiB, or 64 KiB for a rejection",
            Self::Foreign => "the reply is not Keeper's",
            Self::Broken => "the connection broke",
        }
    }

    /// The remedy, for a request to this host.
    pub(crate) fn remedy(self, peer: &Peer) -> String {
        let setting = peer.setting;
        if let Some(Proxy { variable, .. }) = &peer.proxy {
            match self {
                Self::Dns => return format!("check the proxy's host name in {variable}, and DNS"),
                Self::Refused => return format!("check that the proxy is up, or correct {variable}"),
                Self::Timeout | Self::Broken => {
                    return format!(
                        "check the proxy, or correct {variable}, then try again; if this host needs no proxy, {}",
                        bypass(variable)
                    );
                }
                Self::Tls => {
                    return format!("check that the scheme and port of the proxy in {variable} are right");
                }
                Self::Proxy => {
                    return format!(
                        "have the proxy in {variable} allow this host and port; if this host needs no proxy, {}",
                        bypass(variable)
                    );
                }
                Self::ProxyLogin => {
                    return format!("put user and password into {variable}: http://USER:PASSWORD@HOST:PORT");
                }
                _ => {}
            }
        }
        match self {
            Self::Dns => format!("check the host name (from {setting}), and DNS"),
            Self::Refused => format!("check the host name (from {setting}) and the firewall"),
            Self::UnknownIssuer => format!(
                "if a proxy inspects TLS, add its root certificate to the file in SSL_CERT_FILE (AWS_CA_BUNDLE is only \
                 for AWS); otherwise check the host name (from {setting})"
            ),
            Self::WrongName | Self::Tls | Self::TooLarge => {
                format!("check the host name (from {setting}) and the proxy")
            }
            Self::Foreign => format!(
                "check the host name (from {setting}), the proxy, and whether a sign-on page intercepts requests"
            ),
            Self::Expired => "check the clock of this host (date -u)".to_owned(),
            Self::NoClient => {
                "check the root certificates of this host (SSL_CERT_FILE, SSL_CERT_DIR)".to_owned()
            }
            Self::ProxyLogin => "put user and password into the proxy's address".to_owned(),
            Self::Proxy => "check the proxy's address and rules".to_owned(),
            Self::Timeout | Self::Broken => "check the network and the firewall, then try again".to_owned(),
        }
    }
}

/// The way around a proxy. A proxy of the caller's is used for every host.
fn bypass(setting: &str) -> &'static str {
    if setting == "proxy_url" { "remove proxy_url" } else { "name it in NO_PROXY" }
}

impl HttpClient {
    fn new(settings: &Settings, ahead: Option<(Ahead, String)>) -> Result<Self, NoReply> {
        let mut builder = Client::builder()
            .danger_accept_invalid_certs(settings.insecure_skip_verify)
            .redirect(redirect::Policy::none());
        if !settings.insecure_skip_verify {
            builder = builder.tls_backend_preconfigured(tls().ok_or(NoReply::NoClient)?);
        }
        if let Some(url) = &settings.proxy_url {
            builder = builder.proxy(reqwest::Proxy::all(url.expose_secret()).map_err(|_| NoReply::Proxy)?);
        }
        if let Some((ahead, _)) = &ahead {
            builder = builder.connector_layer(ahead.clone());
        }
        let client = builder.build().map_err(|_| NoReply::NoClient)?;
        Ok(Self { client, timeout: settings.request_timeout, ahead })
    }

    /// The shared client for these settings.
    pub(crate) fn of(settings: &Settings) -> Result<Self, NoReply> {
        let mut shared = settings.http();
        match &*shared {
            Some(client) => Ok(client.clone()),
            None => Ok(shared.insert(Self::new(settings, None)?).clone()),
        }
    }

    /// Creates the shared client, and begins to connect to the host, unless the client exists.
    pub(crate) fn connect_ahead(settings: &Settings, host: String) {
        let mut shared = settings.http();
        if shared.is_some() {
            return;
        }
        let url = format!("https://{host}/");
        let ahead = Ahead::default();
        // The first request tries to create it again, and reports the failure.
        let Ok(client) = Self::new(settings, Some((ahead.clone(), host))) else { return };
        let client = shared.insert(client);
        // Ends as soon as the connection is begun, and sends nothing.
        ahead.begin(|| drop(client.client.head(url).send()));
    }

    /// Sends a request of the SDK, on a thread that may block.
    pub(crate) fn post(
        &self,
        url: &str,
        key: &TransmissionKey,
        payload: EncryptedPayload,
    ) -> Result<KsmHttpResponse, NoReply> {
        if let Some((ahead, host)) = &self.ahead
            && !url
                .strip_prefix("https://")
                .and_then(|url| url.strip_prefix(&**host))
                .is_some_and(|path| path.starts_with('/'))
        {
            ahead.discard();
        }
        let signature = STANDARD.encode(payload.signature.as_bytes());
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(AUTHORIZATION, format!("Signature {signature}"))
            .header("TransmissionKey", STANDARD.encode(&key.encrypted_key))
            .header("PublicKeyId", &key.public_key_id)
            .body(payload.encrypted_payload);
        self.send(request)
    }

    fn send(&self, request: RequestBuilder) -> Result<KsmHttpResponse, NoReply> {
        // Set on the request, the timeout covers the body too; set on the client, it applies to each read of the body.
        let response = request.timeout(self.timeout).send().map_err(|error| cause(&error))?;
        let status = response.status().as_u16();
        let limit = if status == 200 { MAX_REPLY } else { MAX_REJECTION };
        let mut body = Vec::new();
        let read = response.take(limit + 1).read_to_end(&mut body);
        read.map_err(|error| cause_of_io(&error))?;
        if body.len() as u64 > limit {
            return Err(NoReply::TooLarge);
        }
        // The SDK uses only the text of rejections.
        let text = if status == 200 { String::new() } else { String::from_utf8_lossy(&body).into_owned() };
        Ok(KsmHttpResponse::new(status, body, text))
    }
}

/// Sets up TLS with the library that the program has installed for the process, otherwise with the one selected by
/// features.
fn tls() -> Option<ClientConfig> {
    let config =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().ok()?;
    let mut config = verified(config)?;
    config.alpn_protocols = ["h2", "http/1.1"].map(Vec::from).into();
    Some(config)
}

fn provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "tls-aws-lc")]
    use rustls::crypto::aws_lc_rs as library;
    #[cfg(not(feature = "tls-aws-lc"))]
    use rustls::crypto::ring as library;

    let installed = CryptoProvider::get_default().map(Arc::clone);
    installed.unwrap_or_else(|| Arc::new(library::default_provider()))
}

/// The root certificates of requests to Keeper, which are those of requests to AWS. They are read once.
pub(crate) fn roots() -> Result<Arc<Roots>, InvalidRoots> {
    Roots::load(|name| std::env::var_os(name), None)
}

#[cfg(not(any(windows, target_vendor = "apple")))]
fn verified(config: ConfigBuilder<ClientConfig, WantsVerifier>) -> Option<ClientConfig> {
    use rustls::RootCertStore;

    let roots = roots().ok()?.anchors();
    Some(config.with_root_certificates(RootCertStore { roots }).with_no_client_auth())
}

/// Lets the system check certificates, like the SDK.
#[cfg(any(windows, target_vendor = "apple"))]
fn verified(config: ConfigBuilder<ClientConfig, WantsVerifier>) -> Option<ClientConfig> {
    use rustls_platform_verifier::BuilderVerifierExt;

    Some(config.with_platform_verifier().ok()?.with_no_client_auth())
}

fn cause_of_io(error: &io::Error) -> NoReply {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<reqwest::Error>());
    inner.map_or(NoReply::Broken, cause)
}

fn cause(error: &reqwest::Error) -> NoReply {
    let sources = || iter::successors(error.source(), |&source| source.source());
    let text: String = sources().map(|source| source.to_string().to_ascii_lowercase() + "; ").collect();
    let refused = |source: &(dyn std::error::Error + 'static)| {
        source.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused)
    };
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match () {
        () if error.is_timeout() => NoReply::Timeout,
        () if says(&["dns error", "failed to lookup"]) => NoReply::Dns,
        // The latter is that of another issuer of the same name.
        () if says(&["unknownissuer", "unknown issuer", "badsignature"]) => NoReply::UnknownIssuer,
        () if says(&["notvalidforname", "not valid for name"]) => NoReply::WrongName,
        () if says(&["expired", "notvalidyet", "not valid yet"]) => NoReply::Expired,
        () if says(&["certificate", "handshake", "corrupt message", "tls"]) => NoReply::Tls,
        () if says(&["proxy authorization required", "proxy auth"]) => NoReply::ProxyLogin,
        // By the host or by the proxy, whichever comes first.
        () if sources().any(refused) => NoReply::Refused,
        () if says(&["tunnel", "proxy"]) => NoReply::Proxy,
        () => NoReply::Broken,
    }
}

/// Checks the address of a caller's proxy. The error is a constant, because an address may contain a password.
pub(crate) fn check_proxy(text: &str) -> Result<(), &'static str> {
    if text.chars().any(|char| char.is_whitespace() || char.is_control()) {
        return Err("it contains white space or a control character");
    }
    let Some((scheme, _)) = text.split_once("://") else {
        return Err("expected an address with a scheme, such as http://proxy:3128");
    };
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err("its scheme is neither http nor https");
    }
    match Url::parse(text) {
        Ok(url) if url.has_host() && reqwest::Proxy::all(text).is_ok() => Ok(()),
        _ => Err("it is not an address such as http://proxy:3128"),
    }
}

/// Checks a variable. Its scheme may be missing; anything malformed would be ignored silently.
pub(crate) fn check_system_proxy(text: &str) -> Result<(), &'static str> {
    if text.contains("://") { check_proxy(text) } else { check_proxy(&format!("http://{text}")) }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        sync::mpsc,
        thread,
    };

    use p256::ecdsa::Signature;
    use rustls::NamedGroup::X25519MLKEM768;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn connection_ahead_belongs_to_its_host() {
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (expected, other) = (listen(), listen());
        let host = |listener: &TcpListener| listener.local_addr().unwrap().to_string();
        let settings = Settings {
            insecure_skip_verify: true,
            request_timeout: Duration::from_secs(5),
            ..Settings::default()
        };
        HttpClient::connect_ahead(&settings, host(&expected));
        // The TCP connection is established; nobody answers the TLS handshake.
        let _open = accept(expected).recv_timeout(PATIENCE).unwrap();
        let url = format!("https://{}/", host(&other));
        let accepted = accept(other);
        let client = HttpClient::of(&settings).unwrap();
        let key = TransmissionKey::new("10".to_owned(), vec![0; 32], Vec::new());
        let signature = Signature::from_scalars([1; 32], [1; 32]).unwrap().to_der();
        client.post(&url, &key, EncryptedPayload::new(Vec::new(), signature)).unwrap_err();
        accepted.recv_timeout(PATIENCE).unwrap();
    }

    fn accept(listener: TcpListener) -> mpsc::Receiver<TcpStream> {
        let (sender, accepted) = mpsc::channel();
        thread::spawn(move || sender.send(listener.accept().unwrap().0));
        accepted
    }

    #[test]
    fn features_choose_the_tls_library() {
        let is_post_quantum = provider().kx_groups.iter().any(|group| group.name() == X25519MLKEM768);
        assert_eq!(is_post_quantum, cfg!(feature = "tls-aws-lc"));
    }
}
