//! The connection of a backend to AWS.

use std::{fmt, sync::Arc, time::SystemTime};

use aws_config::{SdkConfig, retry::RetryConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_secretsmanager::{
    Client,
    config::{
        Builder,
        endpoint::{DefaultResolver, Params, ResolveEndpoint},
    },
    error::{ProvideErrorMetadata, SdkError},
};
use aws_smithy_runtime_api::client::{http::SharedHttpClient, orchestrator::HttpResponse};
use aws_smithy_types::{DateTime, date_time::Format};
use ksm_storage_core::{Error, ErrorKind, Result, catch_panic};

use crate::{
    client::{CallError, Failure},
    credentials::{Origins, Resolved},
    describe::describe,
    endpoint::{Endpoint, Purpose},
    environment::Environment,
    error::{classify, general_hint},
    explained::unobtained,
    guarded::Guarded,
    http,
    silence::without_tracing,
    thread::SingleThread,
    trace::{Peer, Trace},
};

/// The settings that a backend was opened with: region, credentials, server, identity.
///
/// ```no_run
/// # use ksm_storage_aws::{AwsSecretStorage, Error};
/// # async fn run() -> Result<(), Error> {
/// let backend = AwsSecretStorage::from_default_config("ksm-config").open_backend().await?;
/// if let Some(connection) = backend.connection() {
///     println!("{} (from {})", connection.region(), connection.region_source());
///     println!("{}", connection.identity().await?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Connection {
    pub(crate) config: SdkConfig,
    endpoint: Option<Endpoint>,
    pub(crate) identity_endpoint: Result<Option<Endpoint>>,
    origins: Origins,
    pub(crate) source: Option<Arc<Guarded>>,
    /// For the caller's own source of credentials.
    pub(crate) thread: SingleThread,
}

impl From<Resolved> for Connection {
    fn from(resolved: Resolved) -> Self {
        let Resolved { config, endpoint, identity_endpoint, origins, source, .. } = resolved;
        Self { config, endpoint, identity_endpoint, origins, source, thread: SingleThread::default() }
    }
}

impl Connection {
    /// The region that requests go to.
    pub fn region(&self) -> &str {
        self.config.region().map(AsRef::as_ref).unwrap_or_default()
    }

    /// The source of the region: a variable, a profile, the secret ID, or instance metadata.
    pub fn region_source(&self) -> &str {
        &self.origins.region
    }

    /// The source of the credentials, such as variables, a profile or a role. It need not have provided any yet.
    pub fn credentials_source(&self) -> &str {
        &self.origins.credentials
    }

    /// The SDK configuration, for clients of other AWS services or operations. Its HTTP client uses the certificates,
    /// the proxy and the plain HTTP rule of this crate.
    pub fn sdk_config(&self) -> &SdkConfig {
        &self.config
    }

    /// Obtains credentials from their source, which the next request uses.
    ///
    /// # Errors
    /// [`ErrorKind::Credentials`] or another kind, with the cause, if the source provides none.
    pub async fn check_credentials(&self) -> Result<()> {
        let obtained = match &self.source {
            Some(source) => source.prime().await,
            None => match self.config.credentials_provider() {
                Some(provider) => {
                    let call = async move { Guarded::new(provider).prime().await };
                    self.thread.poll(call).await.map_err(CredentialsError::unhandled).flatten()
                }
                None => Err(CredentialsError::not_loaded_no_source()),
            },
        };
        obtained.map_err(|error| unobtained("the source provides none", &error))
    }

    /// The server that requests go to.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if there is no endpoint for the region.
    pub async fn peer(&self) -> Result<Peer> {
        let invalid = |_| {
            Error::not_applied(ErrorKind::InvalidArgument, "there is no endpoint for this region")
                .with_hint("check region and endpoint")
        };
        let uri = if let Some(endpoint) = &self.endpoint {
            endpoint.url().to_owned()
        } else {
            let params = Params::builder()
                .region(self.region())
                .use_fips(self.config.use_fips().unwrap_or_default())
                .use_dual_stack(self.config.use_dual_stack().unwrap_or_default())
                .build()
                .map_err(|error| invalid(error.into()))?;
            let found = DefaultResolver::new().resolve_endpoint(&params).await;
            found.map_err(invalid)?.url().to_owned()
        };
        Peer::of(&uri, &self.trace(), Environment::PROCESS).ok_or_else(|| invalid("no host".into()))
    }

    /// Sends one request without credentials, which the service refuses, and returns the time in its reply.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`], [`ErrorKind::Timeout`] or [`ErrorKind::Unexpected`], with the cause, if the service
    /// cannot be reached, or something else replies.
    pub async fn service_time(&self) -> Result<Option<SystemTime>> {
        let trace = self.trace();
        let mut config = self.config.clone().into_builder();
        config.set_credentials_provider(None);
        let config = Builder::from(&config.build())
            .allow_no_auth()
            .retry_config(RetryConfig::disabled())
            .http_client(self.http(&trace))
            .build();
        // On the heap: it is large.
        let call = Box::pin(async { Client::from_conf(config).get_random_password().send().await });
        let error = match catch_panic("a call of the AWS SDK", without_tracing(call)).await {
            Ok(Ok(_)) => return Ok(None),
            Ok(Err(error)) => error,
            Err(panicked) => return Err(self.failed(CallError::new(Failure::Panicked(panicked.step())))),
        };
        match refusal(&error) {
            Some(response) => Ok(date(response)),
            None => Err(self.failed(describe(&error, &trace))),
        }
    }

    /// The HTTP client, whose errors name the server recorded by `trace`.
    pub(crate) fn http(&self, trace: &Trace) -> SharedHttpClient {
        match self.config.http_client() {
            Some(client) => http::guarded(client, Purpose::Services, trace.clone()),
            None => http::client(Purpose::Services, trace.clone()),
        }
    }

    pub(crate) fn trace(&self) -> Trace {
        self.trace_of(self.endpoint.as_ref())
    }

    /// A trace of requests to this endpoint, or to that of the region.
    pub(crate) fn trace_of(&self, endpoint: Option<&Endpoint>) -> Trace {
        Trace::new(endpoint.cloned().into_iter().collect(), self.region(), &self.origins.region)
    }

    /// The error of a call that is not about a secret.
    pub(crate) fn failed(&self, error: CallError) -> Error {
        let hint = general_hint(&error, Some(self.credentials_source()));
        let described = Error::not_applied(classify(&error).0, error.to_string());
        match hint {
            Some(hint) => described.with_hint(hint),
            None => described,
        }
        .with_source(error)
    }

    /// The endpoint of STS, if it is not the region's. An emulator on loopback serves STS too.
    pub(crate) fn identity_endpoint(&self) -> Result<Option<Endpoint>> {
        let own = self.identity_endpoint.clone()?;
        Ok(own.or_else(|| self.endpoint.clone().filter(Endpoint::is_loopback)))
    }
}

/// The reply of an AWS service that refuses a request.
fn refusal<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<&HttpResponse> {
    let SdkError::ServiceError(answer) = error else { return None };
    let is_refusal = answer.raw().status().as_u16() < 500 && answer.err().code().is_some();
    is_refusal.then_some(answer.raw())
}

fn date(response: &HttpResponse) -> Option<SystemTime> {
    let date = DateTime::from_str(response.headers().get("date")?, Format::HttpDate).ok()?;
    SystemTime::try_from(date).ok()
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("region", &self.region())
            .field("credentials_source", &self.origins.credentials)
            .finish_non_exhaustive()
    }
}
