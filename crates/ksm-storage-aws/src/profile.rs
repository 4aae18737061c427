//! Profiles of the AWS configuration files.

use aws_config::profile::{self, Profile, ProfileSet};
use aws_runtime::env_config::{file::EnvConfigFiles, property::PropertiesKey};
use aws_types::{os_shim_internal::Fs, region::Region};
use ksm_storage_core::{Error, ErrorKind, Result};

use crate::{
    endpoint::Endpoint,
    environment::Environment,
    sdk::without_tracing,
    setting::{Given, Setting},
};

/// The profiles of the configuration files.
pub(crate) struct Profiles {
    environment: Environment,
    set: ProfileSet,
}

impl Profiles {
    /// Checks the variables that name the files.
    pub(crate) fn check(environment: Environment) -> Result<()> {
        for name in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
            environment.given(name)?.map(Given::file).transpose()?;
        }
        Ok(())
    }

    pub(crate) async fn load(environment: Environment) -> Result<Self> {
        Self::check(environment)?;
        let (fs, env, files) = (Fs::real(), environment.of_files()?, EnvConfigFiles::default());
        let set = without_tracing(profile::load(&fs, &env, &files, None)).await.map_err(|_| {
            let message = "the AWS configuration files cannot be read: a file is missing, or has a line that cannot be \
                           understood";
            Error::not_applied(ErrorKind::InvalidArgument, message)
                .with_hint(format!("look at {}", environment.file_names()))
        })?;
        Ok(Self { environment, set })
    }

    pub(crate) fn get(&self, name: &str) -> Option<Section<'_>> {
        let profile = self.set.get_profile(name)?;
        Some(Section { profiles: self, profile, name: name.to_owned() })
    }

    /// The profile of this name, or why there is none.
    pub(crate) fn require(&self, name: &str) -> Result<Section<'_>> {
        self.get(name).ok_or_else(|| {
            unusable(name, "does not exist")
                .with_hint(format!("looked for in {}", self.environment.file_names()))
        })
    }
}

impl Environment {
    /// The files that profiles are read from, as the SDK finds them.
    pub(crate) fn file_names(self) -> String {
        let file = |name: &'static str, default: &str| {
            let value = self.text(name).unwrap_or_default();
            value.unwrap_or_else(|| default.to_owned())
        };
        format!(
            "{} and {}",
            file("AWS_CONFIG_FILE", "~/.aws/config"),
            file("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
        )
    }
}

pub(crate) fn unusable(profile: &str, what: &str) -> Error {
    Error::not_applied(ErrorKind::InvalidArgument, format!("the profile {profile:?} {what}"))
}

/// One profile.
#[derive(Clone)]
pub(crate) struct Section<'a> {
    profiles: &'a Profiles,
    profile: &'a Profile,
    pub(crate) name: String,
}

impl Section<'_> {
    fn title(&self) -> String {
        format!("profile {:?}", self.name)
    }

    /// The key's value, unless it is empty.
    pub(crate) fn given(&self, key: &'static str) -> Result<Option<Given>> {
        let Some(value) = self.profile.get(key) else { return Ok(None) };
        Given::new(Setting::Key { key, section: self.title() }, value)
    }

    pub(crate) fn flag(&self, key: &'static str) -> Result<Option<bool>> {
        self.given(key)?.map(|given| given.flag()).transpose()
    }

    pub(crate) fn region(&self) -> Result<Option<Region>> {
        self.given("region")?.map(|given| given.region()).transpose()
    }

    /// A key of a session of IAM Identity Center.
    pub(crate) fn of_session(&self, session: &str, key: &'static str) -> Result<Option<Given>> {
        let Some(section) = self.profiles.set.sso_session(session) else { return Ok(None) };
        let Some(value) = section.get(key) else { return Ok(None) };
        Given::new(Setting::Key { key, section: format!("sso-session {session:?}") }, value)
    }

    /// The endpoint of a service, from the section of services that the profile names, else from the profile.
    pub(crate) fn endpoint(&self, service: &str) -> Result<Option<Endpoint>> {
        const KEY: &str = "endpoint_url";
        let own = match self.given("services")? {
            Some(services) => {
                let key = PropertiesKey::builder()
                    .section_key("services")
                    .section_name(services.as_str())
                    .property_name(service)
                    .sub_property_name(KEY)
                    .build();
                let value = key.ok().and_then(|key| self.profiles.set.other_sections().get(&key));
                let section = format!("services {:?}, {service}", services.as_str());
                value
                    .map(|value| Given::new(Setting::Key { key: KEY, section }, value))
                    .transpose()?
                    .flatten()
            }
            None => None,
        };
        match own {
            Some(own) => Some(own),
            None => self.given(KEY)?,
        }
        .map(Endpoint::parse)
        .transpose()
    }

    pub(crate) fn invalid(&self, key: &'static str, problem: &str) -> Error {
        let setting = Setting::Key { key, section: self.title() };
        crate::setting::InvalidSetting::new(&setting, problem).into()
    }

    /// The profile that this one names as the source of its credentials.
    pub(crate) fn source_profile(&self, name: &str) -> Result<Section<'_>> {
        let missing = || self.invalid("source_profile", &format!("there is no profile {name:?}"));
        self.profiles.get(name).ok_or_else(missing)
    }
}
