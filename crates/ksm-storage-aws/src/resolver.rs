//! Builds an SDK configuration from parsed settings and one source of credentials.

use std::{collections::HashMap, pin::Pin, sync::Arc, time::Duration};

use aws_config::{
    AppName, BehaviorVersion, ConfigLoader, identity::IdentityCache, imds, retry::RetryConfig,
    sts::AssumeRoleProvider, timeout::TimeoutConfig,
};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::os_shim_internal::Env;
use ksm_storage_core::{Error, ErrorKind, Result};

use crate::{
    credentials::{Common, Origins, PATIENCE, Resolved},
    endpoint::{Endpoint, Purpose},
    environment::{Environment, files_with},
    explained::{Explained, Origin},
    guarded::Guarded,
    http,
    instance::InstanceRole,
    process::Process,
    profile::Section,
    region::{self, Known},
    setting::{InvalidSetting, Setting},
    silence::without_tracing,
    source::{CONTAINER, Service, Source},
    trace::Trace,
};

/// Larger numbers make the SDK loop for minutes or panic, and no deadline has room for them.
const MAX_ATTEMPTS: u32 = 1000;
const MAX_ATTEMPT_TIMEOUT: Duration = Duration::from_hours(24);

/// The future of a source, which may be nested.
type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The parsed settings that a configuration is built from.
pub(crate) struct Resolver<'a> {
    environment: Environment,
    common: &'a Common,
    region: Known,
    profile: Option<&'a Section<'a>>,
    endpoint: Option<Endpoint>,
    ignores_endpoints: bool,
    fips: bool,
    dual_stack: bool,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(
        environment: Environment,
        common: &'a Common,
        region: Known,
        profile: Option<&'a Section<'a>>,
    ) -> Result<Self> {
        let flag = |variable, key| match environment.flag(variable)? {
            Some(flag) => Ok(Some(flag)),
            None => profile.map(|profile| profile.flag(key)).transpose().map(Option::flatten),
        };
        let fips = flag("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint")?.unwrap_or_default();
        let dual_stack = flag("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint")?.unwrap_or_default();
        let ignores_endpoints =
            flag("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "ignore_configured_endpoint_urls")?
                .unwrap_or_default();
        let mut resolver = Self {
            environment,
            common,
            region,
            profile,
            endpoint: None,
            ignores_endpoints,
            fips,
            dual_stack,
        };
        resolver.endpoint = match &common.endpoint {
            Some(endpoint) => Some(endpoint.clone()),
            None => resolver.endpoint(Service::SecretsManager)?,
        };
        if let Some(endpoint) = &resolver.endpoint {
            if !Purpose::Services.permits(endpoint.url()) {
                return Err(endpoint.plain_http().into());
            }
            if fips || dual_stack {
                let (variable, what) = if fips {
                    ("AWS_USE_FIPS_ENDPOINT", "FIPS")
                } else {
                    ("AWS_USE_DUALSTACK_ENDPOINT", "dual-stack")
                };
                let problem = format!(
                    "{what} endpoints cannot be combined with an endpoint URL ({})",
                    endpoint.setting
                );
                return Err(InvalidSetting::new(&Setting::Variable(variable), problem).into());
            }
        }
        Ok(resolver)
    }

    fn endpoint(&self, service: Service) -> Result<Option<Endpoint>> {
        if self.ignores_endpoints {
            return Ok(None);
        }
        for variable in [service.variable(), "AWS_ENDPOINT_URL"] {
            if let Some(endpoint) = self.environment.endpoint(variable)? {
                return Ok(Some(endpoint));
            }
        }
        self.profile.map(|profile| profile.endpoint(service.section())).transpose().map(Option::flatten)
    }

    /// A client for these services, in an environment that contains only their endpoints.
    fn client(&self, services: &[Service]) -> Result<(Env, SharedHttpClient, Trace)> {
        let mut endpoints = Vec::new();
        let mut variables = HashMap::new();
        for service in services {
            if let Some(endpoint) = self.endpoint(*service)? {
                // The client rejects this too, but the SDK may hide the reason.
                if !Purpose::Services.permits(endpoint.url()) {
                    return Err(endpoint.plain_http().into());
                }
                variables.insert(service.variable(), endpoint.url().to_owned());
                endpoints.push(endpoint);
            }
        }
        let environment = self.environment.selection(&["AWS_LOGIN_CACHE_DIRECTORY"], variables)?;
        let trace = if services.contains(&Service::Sso) {
            // IAM Identity Center has a region of its own.
            Trace::from(endpoints)
        } else {
            Trace::new(endpoints, self.region.region.as_ref(), &self.region.source)
        };
        Ok((environment, http::client(Purpose::Services, trace.clone()), trace))
    }

    fn loader(&self, env: Env, files: &str, http: SharedHttpClient) -> ConfigLoader {
        let loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .env(env)
            .profile_files(files_with(files))
            .profile_name("default")
            .region(self.region.region.clone())
            .use_fips(self.fips)
            .use_dual_stack(self.dual_stack)
            .http_client(http)
            .retry_config(retries(self.common))
            .timeout_config(timeouts(self.common));
        match app_name() {
            Some(name) => loader.app_name(name),
            None => loader,
        }
    }

    fn explained(
        &self,
        provider: SharedCredentialsProvider,
        origin: Origin,
        trace: Trace,
    ) -> SharedCredentialsProvider {
        let limit = self.common.patience();
        SharedCredentialsProvider::new(Explained { origin, provider, trace, limit })
    }

    pub(crate) async fn guarded(&self, source: Source) -> Result<Guarded> {
        self.provider(source).await.map(Guarded::new)
    }

    fn provider(&self, source: Source) -> Boxed<'_, Result<SharedCredentialsProvider>> {
        Box::pin(async move {
            let services = source.services();
            let (env, http, trace, files, origin) = match source {
                Source::Keys(keys, _) => return Ok(SharedCredentialsProvider::new(keys)),
                Source::Process { command, origin } => {
                    if !cfg!(feature = "credentials-process") {
                        let message = format!(
                            "{origin} names a credential_process, and this program was built without support for it"
                        );
                        return Err(Error::not_applied(ErrorKind::InvalidArgument, message));
                    }
                    let process = SharedCredentialsProvider::new(Process(command));
                    return Ok(self.explained(process, origin, Trace::default()));
                }
                Source::Instance => {
                    let (client, trace) = region::metadata_client(self.environment, self.profile, PATIENCE)?;
                    return instance_role(self.environment, self.common, client, trace);
                }
                Source::Role { arn, external_id, session, source, origin } => {
                    let source = Guarded::new(self.provider(*source).await?);
                    let (env, http, trace) = self.client(&[Service::Sts])?;
                    let config = without_tracing(self.loader(env, "", http).no_credentials().load()).await;
                    let mut role = AssumeRoleProvider::builder(arn).configure(&config);
                    if let Some(id) = external_id {
                        role = role.external_id(id);
                    }
                    if let Some(session) = session {
                        role = role.session_name(session);
                    }
                    let role = SharedCredentialsProvider::new(role.build_from_provider(source).await);
                    return Ok(self.explained(role, origin, trace));
                }
                Source::Container => {
                    let env = self.environment.selection(&CONTAINER, no_metadata())?;
                    let token = self.environment.text("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")?;
                    // Malformed URIs were rejected; one with a query is not named.
                    let full = self.environment.given("AWS_CONTAINER_CREDENTIALS_FULL_URI")?;
                    let endpoints: Vec<_> =
                        full.and_then(|full| Endpoint::parse(full).ok()).into_iter().collect();
                    let trace = Trace::from(endpoints);
                    let http = http::client(Purpose::Container, trace.clone());
                    (env, http, trace, String::new(), Origin::Container { token })
                }
                Source::WebIdentity { files, origin } | Source::SignIn { files, origin } => {
                    let (env, http, trace) = self.client(&services)?;
                    (env, http, trace, files, origin)
                }
            };
            let config = without_tracing(self.loader(env, &files, http).load()).await;
            let provider = config.credentials_provider().ok_or_else(|| {
                Error::not_applied(ErrorKind::Credentials, "the SDK has no provider of credentials")
            })?;
            Ok(self.explained(provider, origin, trace))
        })
    }

    /// The configuration of Secrets Manager.
    pub(crate) async fn config(&self, credentials: Guarded, origins: Origins) -> Result<Resolved> {
        let endpoints: Vec<_> = self.endpoint.clone().into_iter().collect();
        let is_plain = self.endpoint.as_ref().is_some_and(Endpoint::is_plain);
        let client = if is_plain { http::client } else { http::secured_client };
        let http = client(Purpose::Services, endpoints);
        let env = self.environment.selection(&[], no_metadata())?;
        // Longer than the limit of a slow source, so that the source can report itself.
        let cache = IdentityCache::lazy().load_timeout(self.common.longest()).build();
        let source = Arc::new(credentials);
        let credentials = SharedCredentialsProvider::new(Arc::clone(&source) as Arc<dyn ProvideCredentials>);
        let mut loader = self.loader(env, "", http).credentials_provider(credentials).identity_cache(cache);
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint.url());
        }
        let config = without_tracing(loader.load()).await;
        let profile = self.profile.map(|profile| profile.name.clone()).filter(|name| name != "default");
        let identity_endpoint = self.endpoint(Service::Sts);
        let (endpoint, source) = (self.endpoint.clone(), Some(source));
        Ok(Resolved { config, endpoint, identity_endpoint, profile, origins, source })
    }
}

pub(crate) fn instance_role(
    environment: Environment,
    common: &Common,
    client: imds::Client,
    trace: Trace,
) -> Result<SharedCredentialsProvider> {
    let role = InstanceRole::new(client, environment.is_metadata_disabled()?);
    Ok(SharedCredentialsProvider::new(Explained {
        origin: Origin::Instance,
        provider: SharedCredentialsProvider::new(role),
        trace,
        limit: common.patience(),
    }))
}

/// For a chain without the metadata service.
fn no_metadata() -> HashMap<&'static str, String> {
    [("AWS_EC2_METADATA_DISABLED", "true".to_owned())].into()
}

pub(crate) fn app_name() -> Option<AppName> {
    AppName::new("ksm-storage").ok()
}

pub(crate) fn retries(common: &Common) -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(common.max_attempts.min(MAX_ATTEMPTS))
        .with_initial_backoff(Duration::from_millis(200))
}

pub(crate) fn timeouts(common: &Common) -> TimeoutConfig {
    let attempt = common.attempt_timeout.min(MAX_ATTEMPT_TIMEOUT);
    TimeoutConfig::builder()
        .connect_timeout(attempt.min(Duration::from_secs(3)))
        .read_timeout(attempt)
        .operation_attempt_timeout(attempt)
        .build()
}

#[cfg(test)]
mod tests {
    use aws_types::region::Region;

    use super::*;

    #[tokio::test]
    async fn regional_hosts_name_their_setting() {
        let common = Common {
            region: None,
            endpoint: None,
            max_attempts: 1,
            attempt_timeout: Duration::from_secs(1),
            deadline: Duration::from_secs(1),
            fallback: false,
        };
        let region = Known { region: Region::from_static("us-east-9"), source: "AWS_REGION".into() };
        let resolver = Resolver::new(Environment(|_| None), &common, region, None).unwrap();
        for (service, host, setting) in [
            (Service::Sts, "sts.us-east-9.amazonaws.com", Some("the region in AWS_REGION")),
            (Service::SignIn, "us-east-9.signin.aws.amazon.com", Some("the region in AWS_REGION")),
            (Service::Sso, "portal.sso.us-east-9.amazonaws.com", None),
        ] {
            let (_, _, trace) = resolver.client(&[service]).unwrap();
            trace.note(&format!("https://{host}"));
            assert_eq!(trace.peer().unwrap().setting(), setting, "{host}");
        }
    }
}
