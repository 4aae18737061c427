//! Profiles of the AWS configuration files.

use std::time::Duration;

use aws_config::profile::{self, Profile, ProfileSet};
use aws_runtime::env_config::{
    file::{
        EnvConfigFileKind::{Config, Credentials},
        EnvConfigFiles,
    },
    property::PropertiesKey,
};
use aws_types::os_shim_internal::{Env, Fs};
use ksm_storage_core::{Error, ErrorKind, Result};

use crate::{
    endpoint::Endpoint,
    environment::{Environment, SET_HOME},
    profile_file::{ProfileFile, encode},
    region::Known,
    setting::{Given, Setting},
    silence::without_tracing,
};

/// The profiles of the configuration files.
pub(crate) struct Profiles {
    files: [ProfileFile; 2],
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

    /// Reads the files, each within this limit.
    pub(crate) async fn load(environment: Environment, limit: Duration) -> Result<Self> {
        Self::check(environment)?;
        let read = async |kind, variable, default: &str| {
            let path = environment.text(variable)?.unwrap_or_else(|| default.to_owned());
            ProfileFile::read(kind, &path, environment.home()?.as_deref(), limit).await
        };
        let files = [
            read(Config, "AWS_CONFIG_FILE", "~/.aws/config").await?,
            read(Credentials, "AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials").await?,
        ];
        let mut texts = EnvConfigFiles::builder();
        for file in &files {
            texts = texts.with_contents(file.kind, file.text.clone().unwrap_or_default());
        }
        let (fs, env) = (Fs::from_slice(&[]), Env::from_slice(&[]));
        let set = without_tracing(profile::load(&fs, &env, &texts.build(), None)).await.map_err(|_| {
            let message = "the AWS configuration files cannot be parsed";
            Error::not_applied(ErrorKind::InvalidArgument, message)
                .with_hint(format!("look at {}", environment.file_names()))
        })?;
        Ok(Self { files, set })
    }

    pub(crate) fn get(&self, name: &str) -> Option<Section<'_>> {
        let profile = self.set.get_profile(&encode(name))?;
        Some(Section { profiles: self, profile, name: name.to_owned() })
    }

    /// Returns the profile with this name, or an error that says why there is none.
    pub(crate) fn require(&self, name: &str) -> Result<Section<'_>> {
        self.get(name).ok_or_else(|| unusable(name, self.absent()).with_hint(self.missing(name)))
    }

    /// The problem of a profile that is in no file.
    pub(crate) fn absent(&self) -> &'static str {
        if self.files.iter().all(ProfileFile::is_located) {
            "does not exist"
        } else {
            "cannot be looked up: HOME is not set"
        }
    }

    /// The hint for a profile that is in no file.
    pub(crate) fn missing(&self, name: &str) -> String {
        let [config, credentials] = &self.files;
        if !config.is_located() || !credentials.is_located() {
            return SET_HOME.to_owned();
        }
        if config.has_unquoted(name) {
            return format!("write [profile {name:?}] in {}: a name with blanks needs quotes", config.name());
        }
        format!(
            "searched in {} and {}; aws configure list-profiles shows the existing profiles",
            config.name(),
            credentials.name()
        )
    }
}

impl Environment {
    /// The files that profiles are read from, located like the SDK does.
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

    pub(crate) fn region(&self) -> Result<Option<Known>> {
        let Some(given) = self.given("region")? else { return Ok(None) };
        Ok(Some(Known { region: given.region()?, source: self.title().into() }))
    }

    /// A key of an IAM Identity Center session.
    pub(crate) fn of_session(&self, session: &str, key: &'static str) -> Result<Option<Given>> {
        let Some(section) = self.profiles.set.sso_session(&encode(session)) else { return Ok(None) };
        let Some(value) = section.get(key) else { return Ok(None) };
        Given::new(Setting::Key { key, section: format!("sso-session {session:?}") }, value)
    }

    /// The endpoint of a service: from the `services` section that the profile names, otherwise from the profile.
    pub(crate) fn endpoint(&self, service: &str) -> Result<Option<Endpoint>> {
        const KEY: &str = "endpoint_url";
        let own = match self.given("services")? {
            Some(services) => {
                let key = PropertiesKey::builder()
                    .section_key("services")
                    .section_name(encode(services.as_str()))
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

    /// The profile that this one names as its source of credentials.
    pub(crate) fn source_profile(&self, name: &str) -> Result<Section<'_>> {
        let missing = || {
            self.invalid("source_profile", &format!("there is no profile {name:?}"))
                .with_hint(self.profiles.missing(name))
        };
        self.profiles.get(name).ok_or_else(missing)
    }
}
