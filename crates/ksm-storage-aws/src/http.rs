//! The HTTP client for all calls of this crate, and the rules that every request must meet.

mod guard;
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

use crate::{endpoint::Purpose, environment::Environment, setting::InvalidSetting, trace::Trace};

pub(crate) use guard::{InterimFlood, MAX_REPLY, NeverSent, ReplyTooLong, guarded};
pub(crate) use proxy::{check as check_proxies, of as proxy_of};

/// A client that sets up TLS, including root certificates, on the first HTTPS request.
///
/// Plain HTTP bypasses proxies: besides emulators, its only peers are the metadata services of the instance and the
/// container. The endpoints are those that were configured, to be named in errors.
pub(crate) fn client(purpose: Purpose, trace: impl Into<Trace>) -> SharedHttpClient {
    let clients = Clients { plain: Builder::new().build_http(), secured: Mutex::new(None) };
    guarded(SharedHttpClient::new(Client(Arc::new(clients))), purpose, trace)
}

struct Client(Arc<Clients>);

struct Clients {
    plain: SharedHttpClient,
    /// `None` until first use, and while certificates or proxy settings are invalid.
    secured: Mutex<Option<SharedHttpClient>>,
}

impl Clients {
    fn secured(&self) -> Result<SharedHttpClient, InvalidSetting> {
        let mut secured = self.secured.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*secured {
            return Ok(client.clone());
        }
        Ok(secured.insert(build_secured(Environment::PROCESS)?).clone())
    }
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
        let client = if request.uri().starts_with("http://") {
            Ok(self.clients.plain.clone())
        } else {
            self.clients.secured()
        };
        match client {
            Ok(client) => client.http_connector(&self.settings, &self.components).call(request),
            Err(invalid) => HttpConnectorFuture::ready(Err(ConnectorError::user(invalid.into()))),
        }
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
