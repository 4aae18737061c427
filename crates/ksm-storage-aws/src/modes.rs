//! The ways to find credentials and a region.

use aws_config::SdkConfig;
use ksm_storage_core::SecretString;

use crate::{AwsStorageBuilder, credentials::Mode};

/// Opens a configuration that is kept as one secret of AWS Secrets Manager.
///
/// Every mode takes the secret's id: a name, a name with suffix, a full or partial ARN, or `aws-sm://region/name`.
/// If it is empty, the variable `KSM_AWS_SECRET` is used, else `ksm-config`. The secret must exist, with at least `{}`
/// in it:
///
/// ```text
/// aws secretsmanager create-secret --name ksm-config --secret-string '{}'
/// ```
///
/// | mode | credentials | region, unless the id or [`region`](AwsStorageBuilder::region) names it |
/// |---|---|---|
/// | [`from_ec2_instance_config`] | the instance's role, else the default chain | instance metadata |
/// | [`from_default_config`] | the default chain: variables, profile, web identity, container, instance | the same chain |
/// | [`from_profile_config`] | a profile by name | variables, the profile |
/// | [`from_custom_config`] | those given | the one given |
/// | [`from_sdk_config`] | those of an `SdkConfig` | the one of the `SdkConfig` |
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

    /// For EC2: the credentials of the instance's role, and if none can be obtained there the default chain. Off EC2
    /// this works with an ARN only, as the region of a short name comes from the instance metadata.
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

    /// For Lambda, ECS, EKS, workstations and CI: the SDK's default chain.
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

    /// A profile of the AWS configuration files. There is no fallback if it does not exist.
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

    /// Credentials from elsewhere. With an ARN the region may be empty. No file is read, but for root certificates.
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

    /// Everything else. The configuration is used as given; only retries, timeouts and the app name are filled in where
    /// it sets none. Storages opened from one configuration share its credentials, and its connections if it names an
    /// HTTP client.
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
