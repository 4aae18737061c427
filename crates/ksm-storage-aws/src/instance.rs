//! The role of the instance that the program runs on.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use aws_config::imds::{self, client::error::ImdsError, credentials::ImdsCredentialsProvider};
use aws_credential_types::provider::{self, ProvideCredentials, error::CredentialsError, future};

use crate::{
    explained::SourceFailed,
    setting::{InvalidSetting, Setting},
};

const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

/// The credentials of the instance's role.
///
/// The SDK's provider panics on a malformed role name.
pub(crate) struct InstanceRole {
    client: imds::Client,
    is_disabled: bool,
    /// The provider of the most recent role. It keeps its credentials for outages of the metadata service.
    last: Mutex<Option<(String, Arc<ImdsCredentialsProvider>)>>,
}

impl InstanceRole {
    pub(crate) fn new(client: imds::Client, is_disabled: bool) -> Self {
        Self { client, is_disabled, last: Mutex::new(None) }
    }

    async fn obtain(&self) -> provider::Result {
        if self.is_disabled {
            return Err(CredentialsError::not_loaded(SourceFailed::metadata_off()));
        }
        let provider = match self.client.get(ROLES).await {
            Ok(roles) => {
                self.provider(role(roles.as_ref()).map_err(CredentialsError::invalid_configuration)?)
            }
            Err(error) => {
                let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
                match last {
                    Some((_, provider)) => provider,
                    None => return Err(failed(error)),
                }
            }
        };
        provider.provide_credentials().await
    }

    fn provider(&self, role: &str) -> Arc<ImdsCredentialsProvider> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((known, provider)) if known == role => Arc::clone(provider),
            _ => {
                let builder =
                    ImdsCredentialsProvider::builder().imds_client(self.client.clone()).profile(role);
                let provider = Arc::new(builder.build());
                *last = Some((role.to_owned(), Arc::clone(&provider)));
                provider
            }
        }
    }
}

impl ProvideCredentials for InstanceRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.obtain())
    }
}

impl fmt::Debug for InstanceRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InstanceRole")
    }
}

/// The first role of the list, as in other AWS SDKs; an instance has one.
fn role(list: &str) -> Result<&str, InvalidSetting> {
    let role = list.trim().lines().next().unwrap_or_default().trim();
    let known = |char: char| char.is_ascii_alphanumeric() || "_+=,.@-".contains(char);
    if (1..=64).contains(&role.len()) && role.chars().all(known) {
        return Ok(role);
    }
    let setting = Setting::Reply("role name of the instance metadata service");
    Err(InvalidSetting::new(&setting, "expected at most 64 letters, digits and _+=,.@-"))
}

/// A missing role, or no reply at all, means that there are no credentials here.
fn failed(error: ImdsError) -> CredentialsError {
    match error {
        ImdsError::ErrorResponse(answer) if answer.response().status().as_u16() == 404 => {
            CredentialsError::not_loaded(SourceFailed::no_role())
        }
        ImdsError::FailedToLoadToken(failure) if failure.is_dispatch_failure() => {
            CredentialsError::not_loaded(ImdsError::FailedToLoadToken(failure))
        }
        error => CredentialsError::provider_error(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_one_word() {
        for list in ["ksm", "ksm\n", "ksm\r\nother\n", " \nksm"] {
            assert_eq!(role(list).unwrap(), "ksm");
        }
        for list in ["", "\n", "two words", "../x", "<html>", "r\u{f6}le", &"a".repeat(65)] {
            assert!(role(list).is_err(), "{list}");
        }
    }
}
