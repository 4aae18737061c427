//! Converts Python arguments to a source.

use std::{env, num::NonZeroU32};

use ksm_storage::{
    Error, ErrorKind,
    aws::{AwsSecretStorage, AwsStorageBuilder},
};
use pyo3::prelude::*;

/// A mode and its arguments: the attributes of `ksm_storage.aws._Settings`.
#[derive(FromPyObject)]
pub(crate) struct AwsSettings {
    mode: String,
    key: String,
    profile: String,
    access_key_id: String,
    secret_access_key: String,
    region: String,
    fallback: bool,
}

impl AwsSettings {
    pub(crate) fn builder(self) -> Result<AwsStorageBuilder, Error> {
        let Self { mode, key, profile, access_key_id, secret_access_key, region, fallback } = self;
        let builder = match &*mode {
            "ec2" if fallback => AwsSecretStorage::from_ec2_instance_config(key),
            "ec2" => AwsSecretStorage::from_ec2_instance_config(key).without_fallback(),
            "profile" => AwsSecretStorage::from_profile_config(key, profile),
            "custom" => AwsSecretStorage::from_custom_config(key, access_key_id, secret_access_key, region),
            _ => AwsSecretStorage::from_default_config(key),
        };
        with_retries(builder)
    }
}

/// Applies boto3's retry variables, which the backend does not read.
fn with_retries(builder: AwsStorageBuilder) -> Result<AwsStorageBuilder, Error> {
    let variable = |name| env::var(name).ok().filter(|value| !value.trim().is_empty());
    let invalid = |name: &str, hint: &'static str| {
        Error::not_applied(ErrorKind::InvalidArgument, format!("invalid variable {name}")).with_hint(hint)
    };
    // The backend has a single retry mode.
    if let Some(mode) = variable("AWS_RETRY_MODE")
        && !["legacy", "standard", "adaptive"].contains(&mode.trim())
    {
        return Err(invalid("AWS_RETRY_MODE", "expected legacy, standard or adaptive"));
    }
    let Some(attempts) = variable("AWS_MAX_ATTEMPTS") else { return Ok(builder) };
    let attempts: NonZeroU32 =
        attempts.trim().parse().map_err(|_| invalid("AWS_MAX_ATTEMPTS", "expected a positive number"))?;
    Ok(builder.max_attempts(attempts))
}
