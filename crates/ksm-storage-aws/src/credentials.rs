//! In whose name, and where: from a mode to an SDK configuration.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_config::{
    AppName, BehaviorVersion, ConfigLoader, SdkConfig,
    default_provider::credentials::DefaultCredentialsChain,
    imds::credentials::ImdsCredentialsProvider,
    profile::{self, ProfileFileCredentialsProvider},
    provider_config::ProviderConfig,
    retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future},
};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::{
    os_shim_internal::{Env, Fs},
    region::Region,
};
use futures_util::{FutureExt, future::try_join};
use ksm_storage_core::{Error, ErrorKind, Result};
use tracing::{debug, warn};

use crate::{
    SecretId, http, region,
    sdk::{quietly, why},
};

/// Time limit of one request to the instance metadata service.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time limit of a request when the service has just failed to answer.
const SECOND_TRY: Duration = Duration::from_millis(100);

/// The sources of a region.
const SECRET_ID: &str = "the secret id";
const SETTER: &str = "`region`";

/// Where credentials and region come from.
pub(crate) enum Mode {
    Ec2,
    Default,
    Profile(String),
    Custom { credentials: Credentials, region: String },
    Sdk(Box<SdkConfig>),
}

/// The settings common to all modes.
pub(crate) struct Common {
    pub(crate) region: Option<Region>,
    pub(crate) endpoint_url: Option<String>,
    pub(crate) max_attempts: u32,
    pub(crate) attempt_timeout: Duration,
    /// True if the default chain is asked where an instance gives no credentials.
    pub(crate) fallback: bool,
}

pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The configuration, with a region in it.
pub(crate) async fn resolve(mode: Mode, common: &Common, id: &SecretId) -> Result<SdkConfig> {
    if let (Some(wanted), Some(named)) = (&common.region, id.region())
        && wanted != named
    {
        return Err(contradiction((SECRET_ID, named), (SETTER, wanted)));
    }
    let region = id.region().or(common.region.as_ref()).cloned();
    let http = http::client();
    let config = match mode {
        Mode::Sdk(config) => return as_given(&config, common, region),
        Mode::Ec2 => {
            let client = region::metadata_client(&http, PATIENCE);
            let provider = ImdsCredentialsProvider::builder().imds_client(client.clone()).build();
            let region = async {
                match region {
                    Some(region) => Ok(region),
                    None => region::of_instance(&client, variable).await,
                }
            };
            // Together. Without a region, credentials are not waited for.
            let (region, first) = try_join(region, obtain(&provider).map(Ok)).await?;
            let provider = match first {
                Ok(first) => Primed::new(first, provider),
                Err(error) if common.fallback => {
                    let reason = why(&error);
                    warn!(reason, "fallback: the instance has no credentials, the default chain is asked");
                    let chain = DefaultCredentialsChain::builder()
                        .configure(ProviderConfig::without_region().with_http_client(http.clone()))
                        .region(region.clone())
                        .imds_client(region::metadata_client(&http, SECOND_TRY))
                        .build()
                        .await;
                    let first = obtain(&chain).await.map_err(|error| {
                        let what = "neither the instance role nor the default chain gives any";
                        no_credentials(what, &error)
                    })?;
                    Primed::new(first, chain)
                }
                Err(error) => return Err(no_credentials("the instance role gives none", &error)),
            };
            loader(common, http).region(region).credentials_provider(provider)
        }
        Mode::Default => match region {
            Some(region) => loader(common, http).region(region),
            None => loader(common, http),
        },
        Mode::Profile(name) => {
            // Whether it exists is looked at where it makes a difference: the provider below reads the files too.
            let region = match region.or_else(of_variable) {
                Some(region) => region,
                None => of_profile(&name).await?.ok_or_else(|| no_region_in_profile(&name))?,
            };
            let config = ProviderConfig::without_region()
                .with_region(Some(region.clone()))
                .with_http_client(http.clone());
            let provider =
                ProfileFileCredentialsProvider::builder().profile_name(&name).configure(&config).build();
            let first = match obtain(&provider).await {
                Ok(first) => first,
                Err(error) => {
                    of_profile(&name).await?;
                    let what = format!("the profile {name:?} gives none");
                    let hint = format!(
                        "correct it in {}; SSO and credential_process need the crate features of that name",
                        files()
                    );
                    return Err(no_credentials(&what, &error).with_hint(hint));
                }
            };
            loader(common, http)
                .profile_name(name)
                .region(region)
                .credentials_provider(Primed::new(first, provider))
        }
        Mode::Custom { credentials, region: own } => {
            let own = (!own.is_empty()).then(|| Region::new(own));
            let region = match (region, own) {
                (Some(region), Some(own)) if region != own => {
                    let source = if id.region().is_some() { SECRET_ID } else { SETTER };
                    return Err(contradiction((source, &region), ("`from_custom_config`", &own)));
                }
                (Some(region), _) | (None, Some(region)) => region,
                (None, None) => return Err(no_region("no region was given")),
            };
            loader(common, http).region(region).credentials_provider(credentials).profile_files(no_files())
        }
    };
    let config = quietly(config.load()).await;
    if config.region().is_none() {
        return Err(no_region("neither the secret id, nor AWS_REGION, nor the profile names a region"));
    }
    debug!(region = config.region().map(AsRef::as_ref), "configuration resolved");
    Ok(config)
}

fn loader(common: &Common, http: SharedHttpClient) -> ConfigLoader {
    let loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .retry_config(retries(common))
        .timeout_config(timeouts(common));
    let loader = match app_name() {
        Some(name) => loader.app_name(name),
        None => loader,
    };
    match &common.endpoint_url {
        Some(url) => loader.endpoint_url(url),
        None => loader,
    }
}

/// Only what is unset is filled in.
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
    if let Some(url) = &common.endpoint_url {
        builder.set_endpoint_url(Some(url.clone()));
    }
    if region.is_some() {
        builder.set_region(region);
    } else if config.region().is_none() {
        return Err(no_region("the SDK configuration has none, and the secret id does not name one"));
    }
    Ok(builder.build())
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

/// Instead of the files of profiles: an empty one.
fn no_files() -> EnvConfigFiles {
    EnvConfigFiles::builder().with_contents(EnvConfigFileKind::Config, "").build()
}

async fn obtain(provider: &impl ProvideCredentials) -> Result<Credentials, CredentialsError> {
    quietly(provider.provide_credentials()).await
}

/// The region in a profile, which must exist.
async fn of_profile(name: &str) -> Result<Option<Region>> {
    let (fs, env, everywhere) = (Fs::real(), Env::real(), EnvConfigFiles::default());
    let load = profile::load(&fs, &env, &everywhere, Some(name.to_owned().into()));
    let profiles = quietly(load).await.map_err(|_| {
        let what = "cannot be read: a file is missing, or has a line that cannot be understood";
        unusable(name, what).with_hint(format!("look at {}", files()))
    })?;
    let profile = profiles
        .get_profile(name)
        .ok_or_else(|| unusable(name, "does not exist").with_hint(format!("looked for in {}", files())))?;
    Ok(profile.get("region").map(|region| Region::new(region.to_owned())))
}

fn of_variable() -> Option<Region> {
    let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
    region.filter(|region| !region.is_empty()).map(Region::new)
}

fn no_region_in_profile(name: &str) -> Error {
    unusable(name, "has no region").with_hint(format!(
        "add a line `region = ...` to it in {}, give the full ARN, or set AWS_REGION",
        files()
    ))
}

fn unusable(profile: &str, what: &str) -> Error {
    Error::not_applied(ErrorKind::InvalidArgument, format!("the profile {profile:?} {what}"))
}

/// The files that profiles are read from, as the SDK finds them.
fn files() -> String {
    let file = |name: &str, default: &str| variable(name).unwrap_or_else(|| default.to_owned());
    format!(
        "{} and {}",
        file("AWS_CONFIG_FILE", "~/.aws/config"),
        file("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
    )
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

fn no_credentials(what: &str, error: &CredentialsError) -> Error {
    Error::not_applied(ErrorKind::Credentials, format!("{what}: {}", why(error)))
        .with_hint("attach a role, or open with the mode that fits this host")
}

/// Credentials that were obtained when opening, then those of their source.
struct Primed<P> {
    first: Mutex<Option<Credentials>>,
    source: P,
}

impl<P: ProvideCredentials + 'static> Primed<P> {
    #[expect(clippy::new_ret_no_self, reason = "nobody needs the type")]
    fn new(first: Credentials, source: P) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(Self { first: Mutex::new(Some(first)), source })
    }
}

impl<P: ProvideCredentials> ProvideCredentials for Primed<P> {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        match self.first.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(credentials) => future::ProvideCredentials::ready(Ok(credentials)),
            None => self.source.provide_credentials(),
        }
    }
}

impl<P> fmt::Debug for Primed<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Primed").finish_non_exhaustive()
    }
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
            let credentials = Credentials::new("AKIA", "key", None, None, "test");
            let mode = Mode::Custom { credentials, region: own.to_owned() };
            let common = Common {
                region: option.map(Region::from_static),
                endpoint_url: None,
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
