//! The process environment.

use std::{collections::HashMap, ffi::OsString};

use aws_runtime::env_config::file::EnvConfigFiles;
use aws_types::os_shim_internal::Env;
use ksm_storage_core::{Error, Result};

use crate::{
    endpoint::Endpoint,
    region::Known,
    setting::{Given, InvalidSetting, Setting},
};

/// The remedy if files in the home directory are needed.
pub(crate) const SET_HOME: &str = "set HOME, or AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE";

/// A lookup of environment variables, replaceable in tests.
#[derive(Clone, Copy)]
pub(crate) struct Environment(pub(crate) fn(&str) -> Option<OsString>);

impl Environment {
    pub(crate) const PROCESS: Self = Self(|name| std::env::var_os(name));

    /// The variable's value, unless it is empty.
    pub(crate) fn given(self, name: &'static str) -> Result<Option<Given>> {
        let Some(value) = (self.0)(name) else { return Ok(None) };
        let setting = Setting::Variable(name);
        match value.into_string() {
            Ok(value) => Given::new(setting, &value),
            Err(_) => Err(InvalidSetting::new(&setting, "not UTF-8").into()),
        }
    }

    pub(crate) fn text(self, name: &'static str) -> Result<Option<String>> {
        Ok(self.given(name)?.map(Given::into_string))
    }

    pub(crate) fn flag(self, name: &'static str) -> Result<Option<bool>> {
        self.given(name)?.map(|given| given.flag()).transpose()
    }

    pub(crate) fn endpoint(self, name: &'static str) -> Result<Option<Endpoint>> {
        self.given(name)?.map(Endpoint::parse).transpose()
    }

    pub(crate) fn region(self) -> Result<Option<Known>> {
        for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
            if let Some(given) = self.given(name)? {
                return Ok(Some(Known { region: given.region()?, source: name.into() }));
            }
        }
        Ok(None)
    }

    /// Checks a variable that the SDK reads itself and puts into a header.
    pub(crate) fn check_header(self, name: &'static str) -> Result<()> {
        let value = (self.0)(name).unwrap_or_default();
        let fits = |text: &str| text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if value.len() <= 4096 && value.to_str().is_some_and(fits) {
            return Ok(());
        }
        let problem = "expected at most 4096 visible ASCII characters";
        Err(InvalidSetting::new(&Setting::Variable(name), problem).into())
    }

    /// The default profile, for programs that name none.
    pub(crate) fn profile(self) -> Result<String> {
        let given = self.given("AWS_PROFILE")?.map(Given::profile).transpose()?;
        Ok(given.unwrap_or_else(|| "default".to_owned()))
    }

    /// As in other AWS SDKs, anything but `true` is false.
    pub(crate) fn is_metadata_disabled(self) -> Result<bool> {
        let disabled = self.text("AWS_EC2_METADATA_DISABLED")?;
        Ok(disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")))
    }

    /// The directory that `~` stands for.
    pub(crate) fn home(self) -> Result<Option<String>> {
        let home = self.text("HOME")?;
        if home.is_some() || !cfg!(windows) {
            return Ok(home);
        }
        match (self.text("USERPROFILE")?, self.text("HOMEDRIVE")?, self.text("HOMEPATH")?) {
            (Some(profile), ..) => Ok(Some(profile)),
            (None, Some(drive), Some(path)) => Ok(Some(drive + &path)),
            _ => Ok(None),
        }
    }

    /// Adds to the error for credentials or a region found nowhere that the files in the home directory were not read.
    pub(crate) fn note_home(self, error: Error) -> Error {
        let is_default = |name| self.text(name).is_ok_and(|path| path.is_none());
        let is_home = is_default("AWS_CONFIG_FILE") || is_default("AWS_SHARED_CREDENTIALS_FILE");
        if !is_home || !self.home().is_ok_and(|home| home.is_none()) {
            return error;
        }
        let note = format!("HOME is not set, so no file in ~/.aws was read: {SET_HOME}");
        let hint = error.hint().map_or_else(|| note.clone(), |hint| format!("{hint}; {note}"));
        error.with_hint(hint)
    }

    /// An environment for the SDK that contains only these variables and those that locate the home directory.
    pub(crate) fn selection(
        self,
        names: &[&'static str],
        more: HashMap<&'static str, String>,
    ) -> Result<Env> {
        let mut variables: HashMap<_, _> =
            more.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        for name in ["HOME", "USERPROFILE", "HOMEDRIVE", "HOMEPATH"].iter().chain(names) {
            if let Some(value) = self.text(name)? {
                variables.insert((*name).to_owned(), value);
            }
        }
        Ok(variables.into())
    }
}

/// Replaces the configuration files by this text.
pub(crate) fn files_with(text: impl Into<String>) -> EnvConfigFiles {
    use aws_runtime::env_config::file::EnvConfigFileKind::Config;
    EnvConfigFiles::builder().with_contents(Config, text).build()
}
