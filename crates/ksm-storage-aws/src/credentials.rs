//! Resolves a mode to an SDK configuration: credentials, region, endpoint.

use std::{borrow::Cow, sync::Arc, time::Duration};

use aws_config::SdkConfig;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_types::region::Region;
use futures_util::{FutureExt, future::try_join};
use ksm_storage_core::{Error, ErrorKind, ExposeSecret, Result, SecretString};

use crate::{
    SecretId,
    cause::Cause,
    describe::why,
    endpoint::Endpoint,
    environment::Environment,
    events::Event,
    explained::{SourceFailed, unobtained},
    given::as_given,
    guarded::Guarded,
    http,
    profile::{Profiles, Section, unusable},
    region::{self, Known, RegionUnknown},
    resolver::{Resolver, instance_role},
    setting::{Given, InvalidSetting, Setting},
    source::{Source, keys},
};

/// Time limit of one request to the instance metadata service.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// Source of a region, as named in errors.
const SECRET_ID: &str = "the secret ID";
const SETTER: &str = "`region`";
const CUSTOM: &str = "`from_custom_config`";
const METADATA: &str = "instance metadata";

/// The source of credentials and region.
#[derive(Clone)]
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
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) region: Option<Region>,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) max_attempts: u32,
    pub(crate) attempt_timeout: Duration,
    /// Time limit of the whole call.
    pub(crate) deadline: Duration,
    /// True if the default chain is used when an instance provides no credentials.
    pub(crate) fallback: bool,
}

impl Common {
    /// Time limit of one source of credentials, short enough to leave time for naming the source in the error.
    pub(crate) fn patience(&self) -> Duration {
        self.longest() / 3 * 2
    }

    /// The deadline, capped at a day: timers overflow on huge values.
    pub(crate) fn longest(&self) -> Duration {
        self.deadline.min(Duration::from_hours(24))
    }
}

/// The result of resolving a mode.
pub(crate) struct Resolved {
    /// Always has a region.
    pub(crate) config: SdkConfig,
    /// The endpoint of Secrets Manager, if one was configured.
    pub(crate) endpoint: Option<Endpoint>,
    /// The endpoint of STS, or the error in its setting.
    pub(crate) identity_endpoint: Result<Option<Endpoint>>,
    /// The profile, if it was named.
    pub(crate) profile: Option<String>,
    pub(crate) origins: Origins,
    /// `None` if the caller's own configuration provides the credentials.
    pub(crate) source: Option<Arc<Guarded>>,
}

/// The sources of region and credentials, for display.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    pub(crate) region: Cow<'static, str>,
    pub(crate) credentials: String,
}

pub(crate) async fn resolve(mode: Mode, common: &Common, id: &SecretId) -> Result<Resolved> {
    if let (Some(wanted), Some(named)) = (&common.region, id.region())
        && wanted != named
    {
        return Err(contradiction((SECRET_ID, named), (SETTER, wanted)));
    }
    let known =
        |region: &Region, source: &'static str| Known { region: region.clone(), source: source.into() };
    let region = match (id.region(), &common.region) {
        (Some(region), _) => Some(known(region, SECRET_ID)),
        (None, Some(region)) => Some(known(region, SETTER)),
        (None, None) => None,
    };
    let environment = Environment::PROCESS;
    // A caller's configuration may bring its own HTTP client, to which these settings do not apply.
    if !matches!(mode, Mode::Sdk(_)) {
        http::check_proxies(environment)?;
        // The SDK puts it into a header.
        environment.check_header("AWS_EXECUTION_ENV")?;
    }
    // Profiles may contain what was found nowhere.
    let nowhere = |error| if is_nowhere(&error) { environment.note_home(error) } else { error };
    let resolved = match mode {
        Mode::Ec2 => of_instance(environment, common, region, id).await.map_err(nowhere)?,
        Mode::Default => of_default(environment, common, region, id).await.map_err(nowhere)?,
        Mode::Profile(name) => {
            let given = Given::new(Setting::Method("profile name"), &name)?;
            let name = given.map_or_else(|| environment.profile(), Given::profile)?;
            of_profile(environment, common, region, &name).await?
        }
        Mode::Custom { access_key_id, secret_access_key, session_token, region: own } => {
            let parse = |name, value: &str| Given::new(Setting::Method(name), value);
            let own = parse("region of from_custom_config", &own)?.map(|given| given.region()).transpose()?;
            let parts = ["access key ID of from_custom_config", "secret access key of from_custom_config"];
            let access_key = parse(parts[0], &access_key_id)?;
            let key = parse(parts[1], secret_access_key.expose_secret())?;
            let token =
                session_token.map(|token| parse("session_token", token.expose_secret())).transpose()?;
            let missing = |setting, problem: &str| {
                Err(Error::from(InvalidSetting::new(&Setting::Method(setting), problem)))
            };
            let (access_key, key) = match (access_key, key) {
                (Some(access_key), Some(key)) => (access_key, key),
                (Some(_), None) => return missing(parts[1], "it is empty; the two keys belong together"),
                (None, Some(_)) => return missing(parts[0], "it is empty; the two keys belong together"),
                (None, None) => return missing("keys of from_custom_config", "both are empty"),
            };
            let credentials = keys(access_key, key, token.flatten())?;
            let region = match (region, own) {
                (Some(Known { region, source }), Some(own)) if region != own => {
                    return Err(contradiction((&source, &region), (CUSTOM, &own)));
                }
                (Some(region), _) => region,
                (None, Some(own)) => known(&own, CUSTOM),
                (None, None) => {
                    // This mode reads no variable.
                    let hint = format!("pass a region, give the full ARN, or aws-sm://REGION/{}", id.name());
                    return Err(no_region("no region was given", id).with_hint(hint));
                }
            };
            let resolver = Resolver::new(environment, common, region.clone(), None)?;
            let origins = Origins { region: region.source, credentials: CUSTOM.to_owned() };
            resolver.config(Guarded::new(SharedCredentialsProvider::new(credentials)), origins).await?
        }
        Mode::Sdk(config) => as_given(&config, common, region, id)?,
    };
    Event::Resolved { region: resolved.config.region().map(AsRef::as_ref) }.log();
    Ok(resolved)
}

async fn of_instance(
    environment: Environment,
    common: &Common,
    region: Option<Known>,
    id: &SecretId,
) -> Result<Resolved> {
    Profiles::check(environment)?;
    // Files may be missing or malformed on an instance that does not need them.
    let profiles = Profiles::load(environment, common.patience() / 2).await;
    let name = environment.profile()?;
    let profile = profiles.as_ref().ok().and_then(|profiles| profiles.get(&name));
    let (client, trace) = region::metadata_client(environment, profile.as_ref(), PATIENCE)?;
    let role = Guarded::new(instance_role(environment, common, client.clone(), trace)?);
    let region = async {
        if let Some(region) = region {
            return Ok::<_, Error>(region);
        }
        let region = region::of_instance(&client, environment, id).await?;
        Ok(Known { region, source: METADATA.into() })
    };
    // Concurrently. If the region fails, credentials are not waited for.
    let (region, first) = try_join(region, role.prime().map(Ok)).await?;
    let resolver = Resolver::new(environment, common, region.clone(), profile.as_ref())?;
    let (guarded, source) = match first {
        Ok(()) => (role, Source::Instance.to_string()),
        Err(error) if common.fallback => {
            Event::Fallback { reason: &why(&error) }.log();
            let what = "neither the instance role nor the default chain provides any";
            check_profile(profiles.as_ref().ok(), profile.as_ref(), &name)?;
            let Some(source) = Source::of_environment(environment, profile.as_ref())? else {
                profiles?;
                return Err(unobtained(what, &error));
            };
            let origin = source.to_string();
            let guarded = resolver.guarded(source).await?;
            guarded.prime().await.map_err(|error| unobtained(what, &error))?;
            (guarded, origin)
        }
        Err(error) => return Err(unobtained("the instance role provides none", &error)),
    };
    resolver.config(guarded, Origins { region: region.source, credentials: source }).await
}

async fn of_default(
    environment: Environment,
    common: &Common,
    region: Option<Known>,
    id: &SecretId,
) -> Result<Resolved> {
    Profiles::check(environment)?;
    let profiles = Profiles::load(environment, common.patience() / 2).await;
    let name = environment.profile()?;
    let profile = profiles.as_ref().ok().and_then(|profiles| profiles.get(&name));
    check_profile(profiles.as_ref().ok(), profile.as_ref(), &name)?;
    let region = match region.map_or_else(|| environment.region(), |region| Ok(Some(region)))? {
        Some(region) => Some(region),
        None => profile.as_ref().map(Section::region).transpose()?.flatten(),
    };
    let region = if let Some(region) = region {
        region
    } else {
        let (client, _) = region::metadata_client(environment, profile.as_ref(), PATIENCE)?;
        let message = "neither the secret ID, nor AWS_REGION, nor the profile names a region";
        let region = region::of_instance(&client, environment, id).await;
        // Unreadable files may contain the region that was meant.
        let missing = || profiles.as_ref().err().cloned().unwrap_or_else(|| no_region(message, id));
        Known { region: region.map_err(|_| missing())?, source: METADATA.into() }
    };
    let resolver = Resolver::new(environment, common, region.clone(), profile.as_ref())?;
    let source = Source::of_environment(environment, profile.as_ref())?;
    // Unreadable files may contain the source that was meant.
    if source.is_none() {
        profiles.as_ref().map_err(Clone::clone)?;
    }
    let source = source.unwrap_or(Source::Instance);
    let what = match &source {
        Source::Instance => "the default chain provides none".to_owned(),
        source => format!("{source} provides none"),
    };
    let origins = Origins { region: region.source, credentials: source.to_string() };
    let guarded = resolver.guarded(source).await?;
    // In a request, the time limit of one attempt would end a slow source before it can report itself.
    guarded.prime().await.map_err(|error| unobtained(&what, &error))?;
    resolver.config(guarded, origins).await
}

async fn of_profile(
    environment: Environment,
    common: &Common,
    region: Option<Known>,
    name: &str,
) -> Result<Resolved> {
    let profiles = Profiles::load(environment, common.patience() / 2).await?;
    let profile = profiles.require(name)?;
    let region = match region.map_or_else(|| environment.region(), |region| Ok(Some(region)))? {
        Some(region) => region,
        None => profile.region()?.ok_or_else(|| no_region_in_profile(environment, name))?,
    };
    let resolver = Resolver::new(environment, common, region.clone(), Some(&profile))?;
    let what = format!("the profile {name:?} provides none");
    let source = Source::of_profile(environment, &profile)?.ok_or_else(|| {
        let message = format!("{what}: {}", Cause::NoSource.words());
        Error::not_applied(ErrorKind::Credentials, message)
            .with_hint(format!("add keys, a role or a sign-in to it in {}", environment.file_names()))
    })?;
    let origins = Origins { region: region.source, credentials: source.to_string() };
    let guarded = resolver.guarded(source).await?;
    guarded.prime().await.map_err(|error| unobtained(&what, &error))?;
    resolver.config(guarded, origins).await
}

/// Returns true if all sources of credentials or of the region have been tried, up to the instance.
fn is_nowhere(error: &Error) -> bool {
    let Some(source) = std::error::Error::source(error) else { return false };
    let failed = source.downcast_ref::<SourceFailed>();
    failed
        .is_some_and(|failed| matches!(failed.cause, Cause::NoMetadata | Cause::MetadataOff | Cause::NoRole))
        || source.is::<RegionUnknown>()
}

/// Rejects a requested profile that no file defines.
fn check_profile(profiles: Option<&Profiles>, found: Option<&Section<'_>>, name: &str) -> Result<()> {
    let (Some(profiles), None, true) = (profiles, found, name != "default") else { return Ok(()) };
    let problem = format!("the profile {name:?} {}", profiles.absent());
    let invalid = Error::from(InvalidSetting::new(&Setting::Variable("AWS_PROFILE"), problem));
    Err(invalid.with_hint(profiles.missing(name)))
}

fn no_region_in_profile(environment: Environment, name: &str) -> Error {
    unusable(name, "has no region")
        .with_hint(format!(
            "add a line `region = ...` to it in {}, give the full ARN, or set AWS_REGION",
            environment.file_names()
        ))
        .with_source(RegionUnknown)
}

/// The error for two different regions, each with its source.
fn contradiction((source, region): (&str, &Region), (other, own): (&str, &Region)) -> Error {
    Error::not_applied(
        ErrorKind::InvalidArgument,
        format!("{source} names the region {region}, and {other} the region {own}"),
    )
    .with_hint("omit one of them")
    .with_source(RegionUnknown)
}

pub(crate) fn no_region(what: &str, id: &SecretId) -> Error {
    let name = id.name();
    let message = format!("no AWS region is known for the secret {name}: {what}");
    Error::not_applied(ErrorKind::InvalidArgument, message)
        .with_hint(format!("give the full ARN or aws-sm://REGION/{name}, or set AWS_REGION"))
        .with_source(RegionUnknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn conflicting_regions_name_their_sources() {
        for (id, option, own, words) in [
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
                "the secret ID names the region eu-west-1, and `from_custom_config` the region us-east-1",
            ),
            (
                "aws-sm://eu-west-1/ksm",
                Some("us-east-1"),
                "",
                "the secret ID names the region eu-west-1, and `region` the region us-east-1",
            ),
        ] {
            let error = refused("AKIA", "key", own, option, id).await;
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[tokio::test]
    async fn half_a_pair_is_named() {
        for (access_key, key, words) in [
            (
                "AKIA",
                " ",
                "invalid secret access key of from_custom_config: it is empty; the two keys belong",
            ),
            ("", "s3cret", "invalid access key ID of from_custom_config: it is empty; the two keys belong"),
            ("", "", "invalid keys of from_custom_config: both are empty"),
        ] {
            let error = refused(access_key, key, "us-east-1", None, "ksm").await.to_string();
            assert!(error.contains(words) && !error.contains("s3cret"), "{error}");
        }
    }

    /// The error for these arguments of `from_custom_config`.
    async fn refused(
        access_key: &str,
        key: &str,
        region: &str,
        option: Option<&'static str>,
        id: &str,
    ) -> Error {
        let mode = Mode::Custom {
            access_key_id: access_key.to_owned(),
            secret_access_key: key.into(),
            session_token: None,
            region: region.to_owned(),
        };
        let common = Common {
            region: option.map(Region::from_static),
            endpoint: None,
            max_attempts: 1,
            attempt_timeout: Duration::from_secs(1),
            deadline: Duration::from_secs(1),
            fallback: true,
        };
        let error = resolve(mode, &common, &id.parse().unwrap()).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        error
    }
}
