//! A configuration in an environment variable.

use std::{
    env::{self, VarError},
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose};
use ksm_storage_core::{
    Absence, Capabilities, Error, ErrorKind, Location, Payload, Result, StorageBackend, StoreOutcome, Stored,
    Version, Writes,
};

/// A read-only configuration in an environment variable, as JSON or base64: the format of `KSM_CONFIG`, which Keeper's
/// SDKs read.
///
/// ```
/// use ksm_storage::{EnvBackend, StorageBackend};
///
/// assert_eq!(EnvBackend::new("KSM_CONFIG").location().to_string(), "env:KSM_CONFIG");
/// ```
#[derive(Debug)]
pub struct EnvBackend {
    name: String,
    /// The last payload loaded, and its version number.
    last: Mutex<(Payload, u64)>,
}

impl EnvBackend {
    /// A backend for the variable `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), last: Mutex::new((Payload::from(""), 0)) }
    }

    fn invalid(&self, problem: &str) -> Error {
        Error::not_applied(ErrorKind::InvalidConfig, format!("the variable {} {problem}", self.name))
            .with_hint("expected a configuration as JSON, or in base64 as `ksm profile export` prints it")
    }
}

#[async_trait]
impl StorageBackend for EnvBackend {
    fn location(&self) -> Location {
        Location::opaque("env", self.name.as_str())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Writes::ReadOnly)
            .read_only("a program cannot store its environment variables", "choose another storage to write")
    }

    async fn load(&self) -> Result<Stored> {
        let value = match env::var(&self.name) {
            Ok(value) if !value.trim().is_empty() => Payload::from(value),
            Err(VarError::NotUnicode(_)) => return Err(self.invalid("is neither JSON nor base64")),
            _ => {
                let absence = Absence::new(format!("the variable {} is not set", self.name))
                    .with_hint("set it to a configuration, as JSON or in base64");
                return Ok(Stored::absent(Version::new("0"), absence));
            }
        };
        let payload = self.decode(&value)?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != payload {
            *last = (payload.clone(), last.1 + 1);
        }
        Ok(Stored::present(Version::new(last.1.to_string()), payload))
    }

    async fn confirm(&self, _: &Version) -> Result<bool> {
        Ok(true)
    }

    async fn store(&self, _: &Version, _: &Payload) -> Result<StoreOutcome> {
        self.capabilities().check_write().map(|()| StoreOutcome::conflict(None))
    }
}

impl EnvBackend {
    fn decode(&self, value: &Payload) -> Result<Payload> {
        let text = value.as_bytes().trim_ascii();
        if text.starts_with(b"{") {
            return Ok(value.clone());
        }
        // Base64 with line breaks as printed by `base64`, in either alphabet, with or without padding.
        let compact: Vec<u8> =
            text.iter().copied().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=').collect();
        let compact = zeroize::Zeroizing::new(compact);
        let decoded = general_purpose::STANDARD_NO_PAD
            .decode(&*compact)
            .or_else(|_| general_purpose::URL_SAFE_NO_PAD.decode(&*compact))
            .map_err(|_| self.invalid("is neither JSON nor base64"))?;
        Ok(Payload::from(decoded))
    }
}
