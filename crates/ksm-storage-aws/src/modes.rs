//! Modes: the ways to find credentials and a region.

use aws_config::SdkConfig;
use ksm_storage_core::SecretString;

use crate::{AwsStorageBuilder, credentials::Mode};

/// Opens a configuration stored as one AWS Secrets Manager secret.
///
/// Every mode takes the secret's ID: a name, a name with suffix, a full or partial ARN, or `aws-sm://region/name`. An
/// empty ID means the value of the variable `KSM_AWS_SECRET`, or `ksm-config` if that is unset. The secret must exist
/// and contain at least `{}`:
///
/// ```text
/// aws secretsmanager create-secret --name ksm-config --secret-string '{}'
/// ```
///
/// | mode | credentials | region, unless in the ID or set by [`region`](AwsStorageBuilder::region) |
/// |---|---|---|
/// | [`from_ec2_instance_config`] | the instance's role, else the default chain | instance metadata |
/// | [`from_default_config`] | the default chain: variables, profile, web identity, container, instance | the same chain |
/// | [`from_profile_config`] | the named profile | variables, the profile |
/// | [`from_custom_config`] | the given keys | the given region |
/// | [`from_sdk_config`] | those of the `SdkConfig` | that of the `SdkConfig` |
///
/// [`from_ec2_instance_config`]: Self::from_ec2_instance_config
/// [`from_default_config`]: Self::from_default_config
/// [`from_profile_config`]: Self::from_profile_config
/// [`from_custom_config`]: Self::from_custom_config
/// [`from_sdk_config`]: Self::from_sdk_config
#[derive(Clone, Copy, Debug)]
pub struct AwsSecretStorage;

impl AwsSecretStorage {
    /// The default mode, [`from_ec2_instance_config`](Self::from_ec2_instance_config).
    #[expect(clippy::new_ret_no_self, reason = "the specification's name for a mode")]
    pub fn new(key: impl Into<String>) -> AwsStorageBuilder {
        Self::from_ec2_instance_config(key)
    }

    /// Uses the credentials of the EC2 instance's role, or the default chain if the role provides none. Outside EC2,
    /// this needs an ARN, because the region of a short name comes from the instance metadata.
    ///
    /// ```no_run
    /// # use ksm_storage_aws::{AwsSecretStorage, Error};
    /// # async fn open() -> Result<(), Error> {
    /// let storage = AwsSecretStorage::from_ec2_instance_config("ksm-config").without_fallback().open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_ec2_instance_config(key: impl Into<String>) -> AwsStorageBuilder {
        AwsStorageBuilder::new(key.into(), Mode::Ec2)
    }

    /// Uses the SDK's default chain: for Lambda, ECS, EKS, workstations and CI.
    ///
    /// ```no_run
    /// # use ksm_storage_aws::{AwsSecretStorage, Error};
    /// # async fn open() -> Result<(), Error> {
    /// // The name comes from the variable KSM_AWS_SECRET.
    /// let storage = AwsSecretStorage::from_default_config("").open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_default_config(key: impl Into<String>) -> AwsStorageBuilder {
        AwsStorageBuilder::new(key.into(), Mode::Default)
    }

    /// Uses a profile of the AWS configuration files. There is no fallback: an unknown profile is an error.
    ///
    /// ```no_run
    /// # use ksm_storage_aws::{AwsSecretStorage, Error};
    /// # async fn open() -> Result<(), Error> {
    /// let storage = AwsSecretStorage::from_profile_config("aws-sm://eu-west-1/ksm-config", "ops").open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_profile_config(key: impl Into<String>, profile: impl Into<String>) -> AwsStorageBuilder {
        AwsStorageBuilder::new(key.into(), Mode::Profile(profile.into()))
    }

    /// Uses the given keys. With an ARN, the region may be empty. No files are read except root certificates.
    ///
    /// ```no_run
    /// # use ksm_storage_aws::{AwsSecretStorage, Error};
    /// # async fn open(id: String, key: String, token: String) -> Result<(), Error> {
    /// let storage = AwsSecretStorage::from_custom_config("ksm-config", &id, key, "eu-west-1")
    ///     .session_token(token)
    ///     .open()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_custom_config(
        key: impl Into<String>,
        access_key_id: impl Into<String>,
        secret_access_key: impl Into<String>,
        region: impl Into<String>,
    ) -> AwsStorageBuilder {
        let mode = Mode::Custom {
            access_key_id: access_key_id.into(),
            secret_access_key: SecretString::from(secret_access_key.into()),
            session_token: None,
            region: region.into(),
        };
        AwsStorageBuilder::new(key.into(), mode)
    }

    /// Uses an SDK configuration as given, for all other cases. Only retries, timeouts and the app name are filled in,
    /// if unset. Storages opened from one configuration share its credentials and, if it names an HTTP client, its
    /// connections. A credentials provider of your own is polled in a thread of its own, with the runtime of the call, so
    /// that one that blocks delays no deadline.
    ///
    /// ```no_run
    /// # use ksm_storage_aws::{AwsSecretStorage, Error};
    /// # async fn open() -> Result<(), Error> {
    /// let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    /// let storage = AwsSecretStorage::from_sdk_config("ksm-config", &config).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_sdk_config(key: impl Into<String>, config: &SdkConfig) -> AwsStorageBuilder {
        AwsStorageBuilder::new(key.into(), Mode::Sdk(Box::new(config.clone())))
    }
}
