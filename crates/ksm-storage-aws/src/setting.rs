//! Settings from outside, parsed on entry.
//!
//! White space around a value is dropped, and an empty value means unset. A malformed value is an error that names the
//! setting: the SDK would ignore it, or panic.

use std::{error, fmt, path::Path};

use aws_types::region::Region;
use ksm_storage_core::{Error, ErrorKind, Result};

use crate::file::check_type;

/// The longest value that is accepted, in bytes.
pub(crate) const MAX_LEN: usize = 32 << 10;

/// The origin of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    /// An environment variable.
    Variable(&'static str),
    /// A key in a section of the AWS configuration files, such as `profile "work"`.
    Key { key: &'static str, section: String },
    /// A method of the builder, or a part of the secret ID.
    Method(&'static str),
    /// A service's reply, or a process's output.
    Reply(&'static str),
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) | Self::Method(name) | Self::Reply(name) => f.write_str(name),
            Self::Key { key, section } => write!(f, "{key} in {section}"),
        }
    }
}

/// An invalid setting; the source of the [`Error`] that reports it.
#[derive(Clone, Debug)]
pub(crate) struct InvalidSetting {
    pub(crate) setting: Setting,
    problem: String,
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid {}: {}", self.setting, self.problem)
    }
}

impl error::Error for InvalidSetting {}

impl InvalidSetting {
    pub(crate) fn new(setting: &Setting, problem: impl Into<String>) -> Self {
        Self { setting: setting.clone(), problem: problem.into() }
    }
}

impl InvalidSetting {
    /// The setting that an error reports, or this variable.
    #[cfg(any(feature = "tls-aws-lc", feature = "tls-ring"))]
    pub(crate) fn of(error: &Error, variable: &'static str) -> Self {
        let source = error::Error::source(error).and_then(|source| source.downcast_ref::<Self>());
        source.cloned().unwrap_or_else(|| Self::new(&Setting::Variable(variable), "malformed"))
    }

    /// The remedy.
    pub(crate) fn hint(&self) -> String {
        match &self.setting {
            Setting::Variable(name) => format!("correct the environment variable {name}, or unset it"),
            Setting::Key { .. } => "correct it in the AWS configuration files".to_owned(),
            Setting::Method(_) => "correct it in the program or the storage URL".to_owned(),
            Setting::Reply(_) => "check the service or program that it comes from".to_owned(),
        }
    }

    /// True for a value set by the user, false for a reply.
    pub(crate) fn is_input(&self) -> bool {
        !matches!(self.setting, Setting::Reply(_))
    }
}

impl From<InvalidSetting> for Error {
    fn from(invalid: InvalidSetting) -> Self {
        Self::not_applied(ErrorKind::InvalidArgument, invalid.to_string())
            .with_hint(invalid.hint())
            .with_source(invalid)
    }
}

/// A value from outside, with its origin.
#[derive(Clone)]
pub(crate) struct Given {
    pub(crate) setting: Setting,
    value: String,
}

impl Given {
    /// Returns `None` for an empty value.
    pub(crate) fn new(setting: Setting, value: &str) -> Result<Option<Self>> {
        let value = value.trim();
        if value.is_empty() {
            return Ok(None);
        }
        let given = Self { setting, value: value.to_owned() };
        if value.len() > MAX_LEN {
            return Err(given.invalid(format!("{} bytes, more than {MAX_LEN}", value.len())));
        }
        match value.chars().enumerate().find(|(_, char)| char.is_control()) {
            Some((at, char)) => Err(given.invalid(format!("character {} is {char:?}", at + 1))),
            None => Ok(Some(given)),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.value
    }

    pub(crate) fn into_string(self) -> String {
        self.value
    }

    /// Does not quote the value, which may be secret or misplaced.
    pub(crate) fn invalid(&self, problem: impl Into<String>) -> Error {
        InvalidSetting::new(&self.setting, problem).into()
    }

    fn at_most(self, max: usize) -> Result<Self> {
        if self.value.len() > max {
            return Err(self.invalid(format!("{} characters; the maximum is {max}", self.value.len())));
        }
        Ok(self)
    }

    /// Accepts visible ASCII characters only: those that an HTTP header can hold.
    fn visible(self) -> Result<Self> {
        match self.value.chars().enumerate().find(|(_, char)| !char.is_ascii_graphic()) {
            Some((at, _)) => {
                Err(self.invalid(format!("character {} is not a visible ASCII character", at + 1)))
            }
            None => Ok(self),
        }
    }

    /// Regions are not looked up, since new ones appear.
    pub(crate) fn region(&self) -> Result<Region> {
        let word = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        if self.value.len() > 64 || !self.value.split('-').all(word) {
            return Err(self.invalid("not a region such as us-east-1"));
        }
        Ok(Region::new(self.value.clone()))
    }

    pub(crate) fn flag(&self) -> Result<bool> {
        match &*self.value.to_ascii_lowercase() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.invalid("expected true or false")),
        }
    }

    pub(crate) fn access_key_id(self) -> Result<Self> {
        let given = self.visible()?.at_most(256)?;
        if given.value.contains(['"', '\'', ',', '/', '=', ';']) {
            return Err(given.invalid("an access key ID has letters and digits only"));
        }
        Ok(given)
    }

    pub(crate) fn secret_access_key(self) -> Result<Self> {
        self.visible()?.at_most(1024)
    }

    /// AWS sets no limit; its services accept headers of less than 16 KiB.
    pub(crate) fn token(self) -> Result<Self> {
        self.visible()?.at_most(16 << 10)
    }

    /// An ARN, a name or an identifier to be sent to a service.
    pub(crate) fn identifier(self) -> Result<Self> {
        self.visible()?.at_most(2048)
    }

    /// The path of a file that is missing or can be read, judging by its type.
    pub(crate) fn file(self) -> Result<Self> {
        let given = self.at_most(4096)?;
        match check_type(Path::new(&given.value)) {
            Ok(()) => Ok(given),
            Err(reason) => Err(given.invalid(reason.to_string())),
        }
    }

    /// The name of a profile, in any script.
    pub(crate) fn profile(self) -> Result<String> {
        self.at_most(512).map(Self::into_string)
    }

    /// A value that the SDK puts into a header.
    pub(crate) fn header(self) -> Result<Self> {
        match self.value.chars().enumerate().find(|(_, char)| !char.is_ascii()) {
            Some((at, _)) => Err(self.invalid(format!("character {} is not ASCII", at + 1))),
            None => self.at_most(4096),
        }
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Given").field(&self.setting).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(value: &str) -> Given {
        Given::new(Setting::Variable("X"), value).unwrap().unwrap()
    }

    #[test]
    fn empty_values_are_unset() {
        for value in ["", " ", "\r\n", "\t"] {
            assert!(Given::new(Setting::Variable("X"), value).unwrap().is_none());
        }
        assert_eq!(given(" AKIA\r\n").as_str(), "AKIA");
    }

    #[test]
    fn malformed_values_name_their_setting() {
        let key = Setting::Key { key: "region", section: "profile \"work\"".to_owned() };
        let error = Given::new(key, "a\nb").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(
            error.to_string().contains("invalid region in profile \"work\": character 2 is '\\n'"),
            "{error}"
        );
        let huge = Given::new(Setting::Variable("X"), &"a".repeat(MAX_LEN + 1)).unwrap_err();
        assert!(huge.to_string().contains("invalid X: 32769 bytes"), "{huge}");
        for error in [
            given("us_east_1").region().unwrap_err(),
            given("yes").flag().unwrap_err(),
            given("\"AKIA\"").access_key_id().unwrap_err(),
            given("s3cret s3cret").secret_access_key().unwrap_err(),
            given("s3cret\u{e9}").token().unwrap_err(),
            given(&"s3cret".repeat(3000)).token().unwrap_err(),
            given("s3cret\u{e9}").header().unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(text.contains("invalid X: ") && !text.contains("s3cret"), "{text}");
        }
    }
}
