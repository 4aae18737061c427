//! The HTTP client for all calls of this crate, and the rules that every request must meet.

pub(crate) mod guard;
mod proxy;
#[cfg(any(feature = "tls-aws-lc", feature = "tls-ring"))]
mod secured;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use aws_smithy_http_client::Builder;
use aws_smithy_runtime_api::client::{
    connector_metadata::ConnectorMetadata,
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
        SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};

use tokio::{runtime::Handle, sync::OnceCell, task::JoinHandle};

use crate::{endpoint::Purpose, environment::Environment, setting::InvalidSetting, trace::Trace};

pub(crate) use guard::{InterimFlood, MAX_REPLY, NeverSent, ReplyTooLong, guarded};
pub(crate) use proxy::{check as check_proxies, of as proxy_of};

/// A client that sets up TLS, including root certificates, on the first HTTPS request.
///
/// Plain HTTP bypasses proxies: besides emulators, its only peers are the metadata services of the instance and the
/// container. The endpoints are those that were configured, to be named in errors.
pub(crate) fn client(purpose: Purpose, trace: impl Into<Trace>) -> SharedHttpClient {
    guarded(SharedHttpClient::new(Client(Arc::new(Clients::new(None)))), purpose, trace)
}

/// The same for a client whose first request will be HTTPS: it reads the certificates while the caller goes on.
pub(crate) fn secured_client(purpose: Purpose, trace: impl Into<Trace>) -> SharedHttpClient {
    let begun = Handle::try_current().map(|runtime| runtime.spawn_blocking(build)).ok();
    guarded(SharedHttpClient::new(Client(Arc::new(Clients::new(begun)))), purpose, trace)
}

struct Client(Arc<Clients>);

type Built = Result<SharedHttpClient, InvalidSetting>;

struct Clients {
    plain: SharedHttpClient,
    /// Empty until first use, and while certificates or proxy settings are invalid.
    secured: OnceCell<SharedHttpClient>,
    /// The first build, if it began ahead of its use.
    begun: Mutex<Option<JoinHandle<Built>>>,
}

impl Clients {
    fn new(begun: Option<JoinHandle<Built>>) -> Self {
        let plain = Builder::new().build_http();
        Self { plain, secured: OnceCell::new(), begun: Mutex::new(begun) }
    }

    async fn secured(&self) -> Built {
        let begun = || self.begun.lock().unwrap_or_else(PoisonError::into_inner).take();
        let build = || async move {
            match begun() {
                // Its runtime may have ended before it.
                Some(begun) => begun.await.unwrap_or_else(|_| build()),
                None => build(),
            }
        };
        self.secured.get_or_try_init(build).await.cloned()
    }
}

fn build() -> Built {
    build_secured(Environment::PROCESS)
}

impl HttpClient for Client {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(ByScheme {
            clients: Arc::clone(&self.0),
            settings: settings.clone(),
            components: components.clone(),
        })
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.plain.connector_metadata()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// The connector of one request. The two clients keep the underlying connectors and their connections.
struct ByScheme {
    clients: Arc<Clients>,
    settings: HttpConnectorSettings,
    components: RuntimeComponents,
}

impl HttpConnector for ByScheme {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self { clients, settings, components } = self;
        if request.uri().starts_with("http://") {
            return clients.plain.http_connector(settings, components).call(request);
        }
        let (clients, settings, components) = (Arc::clone(clients), settings.clone(), components.clone());
        HttpConnectorFuture::new(async move {
            let client = clients.secured().await.map_err(|invalid| ConnectorError::user(invalid.into()))?;
            client.http_connector(&settings, &components).call(request).await
        })
    }
}

impl fmt::Debug for ByScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByScheme").finish_non_exhaustive()
    }
}

#[cfg(any(feature = "tls-aws-lc", feature = "tls-ring"))]
use secured::build as build_secured;

#[cfg(not(any(feature = "tls-aws-lc", feature = "tls-ring")))]
#[expect(clippy::unnecessary_wraps, reason = "with TLS, certificates and proxies may be invalid")]
fn build_secured(_: Environment) -> Result<SharedHttpClient, InvalidSetting> {
    Ok(without_tls())
}

/// A client that sends nothing and reports the missing feature.
#[cfg(any(test, not(any(feature = "tls-aws-lc", feature = "tls-ring"))))]
fn without_tls() -> SharedHttpClient {
    use aws_smithy_runtime_api::client::http::http_client_fn;

    use crate::interceptors::Unbuilt;

    #[derive(Debug)]
    struct WithoutTls;

    impl HttpConnector for WithoutTls {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            let why = "this program was built without TLS: turn on the feature tls-ring or tls-aws-lc";
            HttpConnectorFuture::ready(Err(ConnectorError::user(Unbuilt(why).into())))
        }
    }

    http_client_fn(|_, _| SharedHttpConnector::new(WithoutTls))
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region, SdkConfig};
    use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};

    use super::*;
    use crate::{Failure, SdkClient, SecretsClient, Select};

    #[tokio::test]
    async fn missing_tls_is_reported() {
        let credentials = Credentials::new("AKIA", "key", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(without_tls())
            .build();
        let error = SdkClient::new(&config).get("ksm-config", &Select::Current).await.unwrap_err();
        let Failure::NotBuilt(why) = error.failure else { panic!("{error}") };
        assert!(why.contains("tls-ring or tls-aws-lc"), "{why}");
    }
}
