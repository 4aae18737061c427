//! In whose name, and where: from a mode to an SDK configuration.

use std::{collections::HashMap, pin::Pin, time::Duration};

use aws_config::{
    AppName, BehaviorVersion, ConfigLoader, SdkConfig, retry::RetryConfig, sts::AssumeRoleProvider,
    timeout::TimeoutConfig,
};
use aws_credential_types::provider::{SharedCredentialsProvider, error::CredentialsError};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::{
    os_shim_internal::Env,
    region::Region,
    service_config::{LoadServiceConfig, ServiceConfigKey},
};
use futures_util::{FutureExt, future::try_join};
use ksm_storage_core::{Error, ErrorKind, ExposeSecret, Result, SecretString};
use tracing::{debug, warn};

use crate::{
    SecretId,
    endpoint::{Endpoint, Purpose},
    environment::{Environment, files_with},
    guarded::Guarded,
    http,
    instance::InstanceRole,
    process::Process,
    profile::{Profiles, Section, unusable},
    region,
    sdk::{refused, why, without_tracing},
    setting::{Given, InvalidSetting, Setting},
    source::{CONTAINER, Service, Source, keys},
};

/// Time limit of one request to the instance metadata service.
const PATIENCE: Duration = Duration::from_secs(1);

/// The sources of a region.
const SECRET_ID: &str = "the secret id";
const SETTER: &str = "`region`";

/// Where credentials and region come from.
pub(crate) enum Mode {
    Ec2,
    Default,
    Profile(String),
    Custom {
        access_key_id: String,
        secret_access_key: SecretString,
        session_token: Option<SecretString>,
        region: String,
    },
    Sdk(Box<SdkConfig>),
}

/// The settings common to all modes.
pub(crate) struct Common {
    pub(crate) region: Option<Region>,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) max_attempts: u32,
    pub(crate) attempt_timeout: Duration,
    /// True if the default chain is asked where an instance gives no credentials.
    pub(crate) fallback: bool,
}

/// The configuration, with a region in it.
pub(crate) async fn resolve(mode: Mode, common: &Common, id: &SecretId) -> Result<SdkConfig> {
    if let (Some(wanted), Some(named)) = (&common.region, id.region())
        && wanted != named
    {
        return Err(contradiction((SECRET_ID, named), (SETTER, wanted)));
    }
    let region = id.region().or(common.region.as_ref()).cloned();
    let environment = Environment::PROCESS;
    if let Mode::Sdk(config) = mode {
        return as_given(&config, common, region);
    }
    http::check_proxies(environment)?;
    // The SDK puts it into a header.
    environment.check_header("AWS_EXECUTION_ENV")?;
    let config = match mode {
        Mode::Ec2 => of_instance(environment, common, region).await?,
        Mode::Default => of_default(environment, common, region).await?,
        Mode::Profile(name) => {
            let given = Given::new(Setting::Method("profile of from_profile_config"), &name)?;
            let name = given.map_or_else(|| environment.profile(), Given::profile)?;
            of_profile(environment, common, region, &name).await?
        }
        Mode::Custom { access_key_id, secret_access_key, session_token, region: own } => {
            let parse = |name, value: &str| Given::new(Setting::Method(name), value);
            let own = parse("region of from_custom_config", &own)?.map(|given| given.region()).transpose()?;
            let access_key = parse("access key ID of from_custom_config", &access_key_id)?;
            let key = parse("secret access key of from_custom_config", secret_access_key.expose_secret())?;
            let token =
                session_token.map(|token| parse("session_token", token.expose_secret())).transpose()?;
            let (Some(access_key), Some(key)) = (access_key, key) else {
                let setting = Setting::Method("credentials of from_custom_config");
                return Err(
                    InvalidSetting::new(&setting, "access key ID and secret access key are needed").into()
                );
            };
            let credentials = keys(access_key, key, token.flatten())?;
            let region = match (region, own) {
                (Some(region), Some(own)) if region != own => {
                    let source = if id.region().is_some() { SECRET_ID } else { SETTER };
                    return Err(contradiction((source, &region), ("`from_custom_config`", &own)));
                }
                (Some(region), _) | (None, Some(region)) => region,
                (None, None) => return Err(no_region("no region was given")),
            };
            let resolver = Resolver::new(environment, common, region, None)?;
            resolver.config(Guarded::new(SharedCredentialsProvider::new(credentials))).await?
        }
        Mode::Sdk(_) => return Err(no_region("the SDK configuration was not used")),
    };
    debug!(region = config.region().map(AsRef::as_ref), "configuration resolved");
    Ok(config)
}

async fn of_instance(environment: Environment, common: &Common, region: Option<Region>) -> Result<SdkConfig> {
    Profiles::check(environment)?;
    // Files may be missing or malformed on an instance that needs none.
    let profiles = Profiles::load(environment).await;
    let name = environment.profile()?;
    let profile = profiles.as_ref().ok().and_then(|profiles| profiles.get(&name));
    let client = region::metadata_client(environment, profile.as_ref(), PATIENCE)?;
    let is_disabled = environment.is_metadata_disabled()?;
    let role = Guarded::new(SharedCredentialsProvider::new(InstanceRole::new(client.clone(), is_disabled)));
    let region = async {
        match region {
            Some(region) => Ok(region),
            None => region::of_instance(&client, environment).await,
        }
    };
    // Together. Without a region, credentials are not waited for.
    let (region, first) = try_join(region, role.prime().map(Ok)).await?;
    let resolver = Resolver::new(environment, common, region, profile.as_ref())?;
    let guarded = match first {
        Ok(()) => role,
        Err(error) if common.fallback => {
            let reason = &*why(&error);
            warn!(reason, "fallback: the instance has no credentials, the default chain is asked");
            let what = "neither the instance role nor the default chain gives any";
            let source = match Source::of_environment(environment, profile.as_ref())? {
                Some(source) => source,
                None => {
                    if let Err(error) = profiles {
                        return Err(error);
                    }
                    return Err(no_credentials(what, &error));
                }
            };
            let guarded = resolver.guarded(source).await?;
            guarded.prime().await.map_err(|error| no_credentials(what, &error))?;
            guarded
        }
        Err(error) => return Err(no_credentials("the instance role gives none", &error)),
    };
    resolver.config(guarded).await
}

async fn of_default(environment: Environment, common: &Common, region: Option<Region>) -> Result<SdkConfig> {
    Profiles::check(environment)?;
    let profiles = Profiles::load(environment).await;
    let name = environment.profile()?;
    let profile = profiles.as_ref().ok().and_then(|profiles| profiles.get(&name));
    if let (Ok(_), None, true) = (&profiles, &profile, name != "default") {
        let problem = format!("there is no profile {name:?} in {}", environment.file_names());
        return Err(InvalidSetting::new(&Setting::Variable("AWS_PROFILE"), problem).into());
    }
    let region = match region.map_or_else(|| environment.region(), |region| Ok(Some(region)))? {
        Some(region) => Some(region),
        None => profile.as_ref().map(Section::region).transpose()?.flatten(),
    };
    let region = match region {
        Some(region) => region,
        None => {
            let client = region::metadata_client(environment, profile.as_ref(), PATIENCE)?;
            let message = "neither the secret id, nor AWS_REGION, nor the profile names a region";
            region::of_instance(&client, environment).await.map_err(|_| no_region(message))?
        }
    };
    let resolver = Resolver::new(environment, common, region, profile.as_ref())?;
    let source = Source::of_environment(environment, profile.as_ref())?;
    // What is in files that cannot be read may have been meant.
    if source.is_none() {
        profiles.as_ref().map_err(Clone::clone)?;
    }
    let guarded = resolver.guarded(source.unwrap_or(Source::Instance)).await?;
    resolver.config(guarded).await
}

async fn of_profile(
    environment: Environment,
    common: &Common,
    region: Option<Region>,
    name: &str,
) -> Result<SdkConfig> {
    let profiles = Profiles::load(environment).await?;
    let profile = profiles.require(name)?;
    let region = match region.map_or_else(|| environment.region(), |region| Ok(Some(region)))? {
        Some(region) => region,
        None => profile.region()?.ok_or_else(|| no_region_in_profile(environment, name))?,
    };
    let resolver = Resolver::new(environment, common, region, Some(&profile))?;
    let failed = |reason: &str| {
        let message = format!("the profile {name:?} gives none: {reason}");
        Error::not_applied(ErrorKind::Credentials, message).with_hint(format!(
            "correct it in {}; SSO and credential_process need the crate features of that name",
            environment.file_names()
        ))
    };
    let source = Source::of_profile(environment, &profile)?;
    let source = source.ok_or_else(|| failed("no credentials were found"))?;
    let guarded = resolver.guarded(source).await?;
    if let Err(error) = guarded.prime().await {
        return Err(refused(&error).unwrap_or_else(|| failed(&why(&error))));
    }
    resolver.config(guarded).await
}

/// The future of a source, which may have another one below it.
type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a configuration is built from, parsed.
struct Resolver<'a> {
    environment: Environment,
    common: &'a Common,
    region: Region,
    profile: Option<&'a Section<'a>>,
    endpoint: Option<Endpoint>,
    ignores_endpoints: bool,
    fips: bool,
    dual_stack: bool,
}

impl<'a> Resolver<'a> {
    fn new(
        environment: Environment,
        common: &'a Common,
        region: Region,
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
                let (variable, what) = match fips {
                    true => ("AWS_USE_FIPS_ENDPOINT", "FIPS"),
                    false => ("AWS_USE_DUALSTACK_ENDPOINT", "dual-stack"),
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

    /// A client for these services, in an environment that names their endpoints and nothing else.
    fn client(&self, services: &[Service]) -> Result<(Env, SharedHttpClient)> {
        let mut endpoints = Vec::new();
        let mut variables = HashMap::new();
        for service in services {
            if let Some(endpoint) = self.endpoint(*service)? {
                // The client refuses that too, but the SDK may hide why.
                if !Purpose::Services.permits(endpoint.url()) {
                    return Err(endpoint.plain_http().into());
                }
                variables.insert(service.variable(), endpoint.url().to_owned());
                endpoints.push(endpoint);
            }
        }
        let environment = self.environment.selection(&[], variables)?;
        Ok((environment, http::client(Purpose::Services, endpoints)))
    }

    fn loader(&self, env: Env, files: &str, http: SharedHttpClient) -> ConfigLoader {
        let loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .env(env)
            .profile_files(files_with(files))
            .profile_name("default")
            .region(self.region.clone())
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

    async fn guarded(&self, source: Source) -> Result<Guarded> {
        self.provider(source).await.map(Guarded::new)
    }

    fn provider(&self, source: Source) -> Boxed<'_, Result<SharedCredentialsProvider>> {
        Box::pin(async move {
            let services = source.services();
            let (env, http, files) = match source {
                Source::Keys(keys) => return Ok(SharedCredentialsProvider::new(keys)),
                Source::Process(command) => {
                    if !cfg!(feature = "credentials-process") {
                        let message = "the profile names a credential_process, and this program was built without the \
                                       feature credentials-process";
                        return Err(Error::not_applied(ErrorKind::InvalidArgument, message));
                    }
                    return Ok(SharedCredentialsProvider::new(Process(command)));
                }
                Source::Instance => {
                    let client = region::metadata_client(self.environment, self.profile, PATIENCE)?;
                    let role = InstanceRole::new(client, self.environment.is_metadata_disabled()?);
                    return Ok(SharedCredentialsProvider::new(role));
                }
                Source::Role { arn, external_id, session, source } => {
                    let source = Guarded::new(self.provider(*source).await?);
                    let (env, http) = self.client(&[Service::Sts])?;
                    let config = without_tracing(self.loader(env, "", http).no_credentials().load()).await;
                    let mut role = AssumeRoleProvider::builder(arn).configure(&config);
                    if let Some(id) = external_id {
                        role = role.external_id(id);
                    }
                    if let Some(session) = session {
                        role = role.session_name(session);
                    }
                    return Ok(SharedCredentialsProvider::new(role.build_from_provider(source).await));
                }
                Source::Container => {
                    let env = self.environment.selection(&CONTAINER, no_metadata())?;
                    (env, http::client(Purpose::Container, Vec::new()), String::new())
                }
                Source::WebIdentity(files) | Source::SignIn(files) => {
                    let (env, http) = self.client(&services)?;
                    (env, http, files)
                }
            };
            let config = without_tracing(self.loader(env, &files, http).load()).await;
            config.credentials_provider().ok_or_else(|| {
                Error::not_applied(ErrorKind::Credentials, "the SDK has no provider of credentials")
            })
        })
    }

    /// The configuration of Secrets Manager.
    async fn config(&self, credentials: Guarded) -> Result<SdkConfig> {
        let http = http::client(Purpose::Services, self.endpoint.clone().into_iter().collect());
        let env = self.environment.selection(&[], no_metadata())?;
        let mut loader = self.loader(env, "", http).credentials_provider(credentials);
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint.url());
        }
        Ok(without_tracing(loader.load()).await)
    }
}

/// For a chain in which the metadata service has no part.
fn no_metadata() -> HashMap<&'static str, String> {
    [("AWS_EC2_METADATA_DISABLED", "true".to_owned())].into()
}

/// Only what is unset is filled in. What the environment put into the configuration is parsed as elsewhere.
fn as_given(config: &SdkConfig, common: &Common, region: Option<Region>) -> Result<SdkConfig> {
    let mut builder = config.clone().into_builder();
    if config.retry_config().is_none() {
        builder.set_retry_config(Some(retries(common)));
    }
    if config.timeout_config().is_none_or(|timeouts| timeouts.operation_attempt_timeout().is_none()) {
        let mut timeouts = timeouts(common);
        if let Some(own) = config.timeout_config() {
            timeouts = own.to_builder().take_unset_from(timeouts.to_builder()).build();
        }
        builder.set_timeout_config(Some(timeouts));
    }
    if config.behavior_version().is_none() {
        builder.set_behavior_version(Some(BehaviorVersion::v2026_01_12()));
    }
    if config.app_name().is_none() {
        builder.set_app_name(app_name());
    }
    let endpoint = match &common.endpoint {
        Some(endpoint) => Some(endpoint.clone()),
        None => {
            let given =
                Given::new(Setting::Method("endpoint URL of the SDK configuration"), &endpoint_in(config))?;
            given.map(Endpoint::parse).transpose()?
        }
    };
    if let Some(endpoint) = &endpoint
        && !Purpose::Services.permits(endpoint.url())
    {
        return Err(endpoint.plain_http().into());
    }
    builder.set_endpoint_url(endpoint.as_ref().map(|endpoint| endpoint.url().to_owned()));
    builder.set_service_config(None::<NoConfig>);
    if config.http_client().is_none() {
        http::check_proxies(Environment::PROCESS)?;
        builder.set_http_client(Some(http::client(Purpose::Services, endpoint.into_iter().collect())));
    }
    let region = match (region, config.region()) {
        (Some(region), _) => Some(region),
        (None, Some(own)) => {
            let given = Given::new(Setting::Method("region of the SDK configuration"), own.as_ref())?;
            given.map(|given| given.region()).transpose()?
        }
        (None, None) => None,
    };
    if region.is_none() {
        return Err(no_region("the SDK configuration has none, and the secret id does not name one"));
    }
    builder.set_region(region);
    Ok(builder.build())
}

/// The endpoint that a client of Secrets Manager would take from the configuration.
fn endpoint_in(config: &SdkConfig) -> String {
    let own = config.endpoint_url().unwrap_or_default();
    if config.get_origin("endpoint_url").is_client_config() && !own.is_empty() {
        return own.to_owned();
    }
    let key = ServiceConfigKey::builder()
        .service_id("Secrets Manager")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    let found = config.service_config().zip(key.ok()).and_then(|(service, key)| service.load_config(key));
    found.filter(|found| !found.trim().is_empty()).unwrap_or_else(|| own.to_owned())
}

/// Instead of the settings of a service: none.
#[derive(Debug)]
struct NoConfig;

impl LoadServiceConfig for NoConfig {
    fn load_config(&self, _: ServiceConfigKey<'_>) -> Option<String> {
        None
    }
}

fn app_name() -> Option<AppName> {
    AppName::new("ksm-storage").ok()
}

fn retries(common: &Common) -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(common.max_attempts)
        .with_initial_backoff(Duration::from_millis(200))
}

fn timeouts(common: &Common) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(common.attempt_timeout.min(Duration::from_secs(3)))
        .read_timeout(common.attempt_timeout)
        .operation_attempt_timeout(common.attempt_timeout)
        .build()
}

fn no_region_in_profile(environment: Environment, name: &str) -> Error {
    unusable(name, "has no region").with_hint(format!(
        "add a line `region = ...` to it in {}, give the full ARN, or set AWS_REGION",
        environment.file_names()
    ))
}

/// Of two regions, each with what names it.
fn contradiction((source, region): (&str, &Region), (other, own): (&str, &Region)) -> Error {
    Error::not_applied(
        ErrorKind::InvalidArgument,
        format!("{source} names the region {region}, and {other} the region {own}"),
    )
    .with_hint("leave one of them out")
}

fn no_region(what: &str) -> Error {
    Error::not_applied(ErrorKind::InvalidArgument, format!("no AWS region is known: {what}"))
        .with_hint("give the secret's full ARN, aws-sm://region/name, a region, or set AWS_REGION")
}

/// A setting that made the source fail is named by itself.
fn no_credentials(what: &str, error: &CredentialsError) -> Error {
    refused(error).unwrap_or_else(|| {
        Error::not_applied(ErrorKind::Credentials, format!("{what}: {}", why(error)))
            .with_hint("attach a role, or open with the mode that fits this host")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn regions_that_contradict_each_other_are_named_with_their_sources() {
        for (id, option, own, told) in [
            (
                "ksm",
                Some("eu-west-1"),
                "us-east-1",
                "`region` names the region eu-west-1, and `from_custom_config` the region us-east-1",
            ),
            (
                "aws-sm://eu-west-1/ksm",
                None,
                "us-east-1",
                "the secret id names the region eu-west-1, and `from_custom_config` the region us-east-1",
            ),
            (
                "aws-sm://eu-west-1/ksm",
                Some("us-east-1"),
                "",
                "the secret id names the region eu-west-1, and `region` the region us-east-1",
            ),
        ] {
            let mode = Mode::Custom {
                access_key_id: "AKIA".to_owned(),
                secret_access_key: "key".into(),
                session_token: None,
                region: own.to_owned(),
            };
            let common = Common {
                region: option.map(Region::from_static),
                endpoint: None,
                max_attempts: 1,
                attempt_timeout: Duration::from_secs(1),
                fallback: true,
            };
            let error = resolve(mode, &common, &id.parse().unwrap()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.to_string().contains(told), "{error}");
        }
    }
}
