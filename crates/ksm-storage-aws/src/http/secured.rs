//! HTTPS on root certificates that are parsed once per process.
//!
//! The SDK's connector accepts certificates as PEM only, and parses them again.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        connection::{CaptureSmithyConnection, ConnectionMetadata},
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
            SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::{body::SdkBody, retry::ErrorKind};
use hyper::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::{
    client::{
        legacy::{
            Client, Error as ClientError,
            connect::{CaptureConnection, HttpConnector as TcpConnector, capture_connection, proxy::Tunnel},
        },
        proxy::matcher::Matcher,
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use ksm_storage_tls::Roots;
use rustls::{ClientConfig, RootCertStore, crypto::CryptoProvider};
use tokio::{net::TcpStream, time::timeout};
use tower_service::Service;

use super::proxy;
use crate::{
    cause::find,
    environment::Environment,
    setting::{InvalidSetting, Setting},
};

type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;
type HyperClient = Client<Connector, SdkBody>;

/// A client with the certificates and the proxy of these variables.
pub(super) fn build(environment: Environment) -> Result<SharedHttpClient, InvalidSetting> {
    let proxy = proxy::config(environment)?.map(Arc::new);
    let invalid = |variable, problem| InvalidSetting::new(&Setting::Variable(variable), problem);
    let roots = Roots::load(environment.0, Some("AWS_CA_BUNDLE"))
        .map_err(|found| invalid(found.variable, found.problem))?;
    let to_proxy = tls(&roots).map_err(|error| invalid("AWS_CA_BUNDLE", error.to_string()))?;
    let mut to_server = to_proxy.clone();
    to_server.alpn_protocols = ["h2", "http/1.1"].map(Vec::from).into();
    let mut direct = TcpConnector::new();
    direct.set_nodelay(true);
    direct.enforce_http(false);
    let route = Route { to_proxy: HttpsConnector::from((direct.clone(), to_proxy)), direct, proxy };
    let https = HttpsConnector::from((route, to_server));
    Ok(SharedHttpClient::new(Secured { https, clients: Mutex::new(Vec::new()) }))
}

fn tls(roots: &Roots) -> Result<ClientConfig, rustls::Error> {
    let config =
        ClientConfig::builder_with_provider(Arc::new(provider())).with_safe_default_protocol_versions()?;
    let roots = RootCertStore { roots: roots.anchors() };
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Features are additive, and `tls-ring` is on by default: a dependent that asks for post-quantum key exchange gets it.
fn provider() -> CryptoProvider {
    #[cfg(feature = "tls-aws-lc")]
    use rustls::crypto::aws_lc_rs as library;
    #[cfg(not(feature = "tls-aws-lc"))]
    use rustls::crypto::ring as library;

    library::default_provider()
}

struct Secured {
    https: HttpsConnector<Route>,
    /// By time limit of a connection; most programs have one.
    clients: Mutex<Vec<(Option<Duration>, HyperClient)>>,
}

impl Secured {
    fn client(&self, limit: Option<Duration>) -> HyperClient {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = clients.iter().find(|(known, _)| *known == limit) {
            return client.clone();
        }
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(Connector { https: self.https.clone(), limit });
        clients.push((limit, client.clone()));
        client
    }
}

impl HttpClient for Secured {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let client = self.client(settings.connect_timeout());
        SharedHttpConnector::new(Sender { client, limit: settings.read_timeout() })
    }
}

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secured").finish_non_exhaustive()
    }
}

/// Sends requests, and waits for so long until a reply begins.
#[derive(Debug)]
struct Sender {
    client: HyperClient,
    limit: Option<Duration>,
}

impl HttpConnector for Sender {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into()))),
        };
        let connection = capture_connection(&mut request);
        if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
            capture.set_connection_retriever(move || metadata(&connection));
        }
        let (sent, limit) = (self.client.request(request), self.limit);
        HttpConnectorFuture::new(async move {
            let response = within(limit, sent).await.map_err(ConnectorError::timeout)?.map_err(classified)?;
            HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Allows the SDK to close a connection on which a request failed.
fn metadata(connection: &CaptureConnection) -> Option<ConnectionMetadata> {
    connection.connection_metadata().as_ref()?;
    let connection = connection.clone();
    let poison = move || {
        if let Some(connected) = connection.connection_metadata().as_ref() {
            connected.poison();
        }
    };
    Some(ConnectionMetadata::builder().proxied(false).poison_fn(poison).build())
}

/// The failure as the SDK decides about retries.
fn classified(error: ClientError) -> ConnectorError {
    if find::<TimedOut>(&error).is_some() {
        return ConnectorError::timeout(error.into());
    }
    match find::<hyper::Error>(&error) {
        Some(inner) if inner.is_timeout() => ConnectorError::timeout(error.into()),
        Some(inner) if inner.is_user() => ConnectorError::user(error.into()),
        Some(inner) if inner.is_incomplete_message() => {
            ConnectorError::other(error.into(), Some(ErrorKind::TransientError))
        }
        Some(inner) if inner.is_parse() => ConnectorError::other(error.into(), None),
        _ => ConnectorError::io(error.into()),
    }
}

/// Connects within a time limit, which covers proxy and TLS.
#[derive(Clone, Debug)]
struct Connector {
    https: HttpsConnector<Route>,
    limit: Option<Duration>,
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<MaybeHttpsStream<TokioIo<TcpStream>>>;
    type Error = BoxError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let (connecting, limit) = (self.https.call(server), self.limit);
        Box::pin(async move { within(limit, connecting).await? })
    }
}

/// The way to a server, without TLS to it: direct, or through a tunnel.
#[derive(Clone, Debug)]
struct Route {
    direct: TcpConnector,
    to_proxy: HttpsConnector<TcpConnector>,
    proxy: Option<Arc<Matcher>>,
}

impl Service<Uri> for Route {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.direct.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let Some(proxy) = self.proxy.as_ref().and_then(|proxy| proxy.intercept(&server)) else {
            let connecting = self.direct.call(server);
            return Box::pin(async move { Ok(MaybeHttpsStream::Http(connecting.await?)) });
        };
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.to_proxy.clone());
        if let Some(login) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(login.clone());
        }
        let connecting = tunnel.call(server);
        Box::pin(async move { Ok(connecting.await?) })
    }
}

async fn within<T>(limit: Option<Duration>, future: impl Future<Output = T>) -> Result<T, BoxError> {
    match limit {
        Some(limit) => timeout(limit, future).await.map_err(|_| TimedOut(limit).into()),
        None => Ok(future.await),
    }
}

/// The end of a time limit.
#[derive(Debug)]
struct TimedOut(Duration);

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP timeout occurred after {:?}", self.0)
    }
}

impl Error for TimedOut {}

#[cfg(test)]
mod tests {
    use rustls::NamedGroup::X25519MLKEM768;

    use super::*;

    #[test]
    fn features_choose_the_key_exchange() {
        let first = provider().kx_groups.first().map(|group| group.name());
        assert_eq!(first == Some(X25519MLKEM768), cfg!(feature = "tls-aws-lc"));
    }
}
