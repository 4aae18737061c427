//! Uses a caller's SDK configuration as given.

use aws_config::{BehaviorVersion, SdkConfig};
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use ksm_storage_core::Result;

use crate::{
    SecretId,
    credentials::{Common, Origins, Resolved, no_region},
    endpoint::{Endpoint, Purpose},
    environment::Environment,
    http,
    region::Known,
    resolver::{app_name, retries, timeouts},
    setting::{Given, Setting},
};

const CONFIG: &str = "the SDK configuration";

/// Only what is unset is filled in. What the environment put into the configuration is parsed as elsewhere.
pub(crate) fn as_given(
    config: &SdkConfig,
    common: &Common,
    region: Option<Known>,
    id: &SecretId,
) -> Result<Resolved> {
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
    let endpoint = if let Some(endpoint) = &common.endpoint {
        Some(endpoint.clone())
    } else {
        let setting = Setting::Method("endpoint URL of the SDK configuration");
        Given::new(setting, &endpoint_in(config))?.map(Endpoint::parse).transpose()?
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
        let endpoints: Vec<_> = endpoint.clone().into_iter().collect();
        builder.set_http_client(Some(http::client(Purpose::Services, endpoints)));
    }
    let region = match (region, config.region()) {
        (Some(region), _) => Some(region),
        (None, Some(own)) => {
            let given = Given::new(Setting::Method("region of the SDK configuration"), own.as_ref())?;
            let region = given.map(|given| given.region()).transpose()?;
            region.map(|region| Known { region, source: CONFIG.into() })
        }
        (None, None) => None,
    };
    let region = region.ok_or_else(|| {
        no_region("the SDK configuration has none, and the secret ID does not name one", id)
    })?;
    Ok(Resolved {
        config: builder.region(region.region).build(),
        endpoint,
        identity_endpoint: Ok(None),
        profile: None,
        source: None,
        origins: Origins { region: region.source, credentials: CONFIG.to_owned() },
    })
}

/// The endpoint that a Secrets Manager client would take from the configuration.
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

/// An empty set of service settings.
#[derive(Debug)]
struct NoConfig;

impl LoadServiceConfig for NoConfig {
    fn load_config(&self, _: ServiceConfigKey<'_>) -> Option<String> {
        None
    }
}
