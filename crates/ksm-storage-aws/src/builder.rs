use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_types::region::Region;
use ksm_storage_core::{
    ConfigStorage, Error, ErrorKind, ExposeSecret, Outcome, Payload, Result, SecretString, StorageBackend,
    Version,
};
use tokio::{runtime::Handle, time::Instant};
use tracing::info;

use crate::{
    AwsSecretBackend, Concurrency, SdkClient, SecretId, SecretsClient,
    backend::NO_VALUE,
    client::Create,
    credentials::{Common, Mode, resolve, variable},
    error::{Call, failed, not_applied},
    slot,
};

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
/// | [`from_ec2_instance_config`](Self::from_ec2_instance_config) | the instance's role, else the default chain | instance metadata |
/// | [`from_default_config`](Self::from_default_config) | the default chain: variables, profile, web identity, container, instance | the same chain |
/// | [`from_profile_config`](Self::from_profile_config) | a profile by name | variables, the profile |
/// | [`from_custom_config`](Self::from_custom_config) | those given | the one given |
/// | [`from_sdk_config`](Self::from_sdk_config) | those of an `SdkConfig` | the one of the `SdkConfig` |
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
        AwsStorageBuilder::new(key.into(), Mode::Ec2 { fallback: true })
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
        let credentials = Credentials::new(access_key_id, secret_access_key, None, None, "ksm-storage");
        AwsStorageBuilder::new(key.into(), Mode::Custom { credentials, region: region.into() })
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

/// Settings of a storage that is about to be opened. They are looked at when it is.
///
/// ```no_run
/// # use std::time::Duration;
/// # use ksm_storage_aws::{AwsSecretStorage, Error};
/// # async fn open() -> Result<(), Error> {
/// let replica = AwsSecretStorage::from_profile_config("ksm-config", "ops")
///     .region("eu-west-1")
///     .read_only()
///     .deadline(Duration::from_secs(5))
///     .open()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until it is opened"]
pub struct AwsStorageBuilder {
    key: String,
    mode: Mode,
    common: Common,
    session_token: Option<SecretString>,
    without_fallback: bool,
    concurrency: Concurrency,
    create: bool,
    kms_key_id: Option<String>,
    read_only: bool,
    attempts: Option<NonZeroU32>,
    deadline: Duration,
}

impl AwsStorageBuilder {
    fn new(key: String, mode: Mode) -> Self {
        Self {
            key,
            mode,
            common: Common {
                region: None,
                endpoint_url: None,
                max_attempts: 3,
                attempt_timeout: Duration::from_secs(4),
            },
            session_token: None,
            without_fallback: false,
            concurrency: Concurrency::default(),
            create: false,
            kms_key_id: None,
            read_only: false,
            attempts: None,
            deadline: Duration::from_secs(15),
        }
    }

    /// The secret's region. One that the id names must be the same.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.common.region = Some(Region::new(region.into()));
        self
    }

    /// Another endpoint than the region's: of a VPC endpoint without private DNS, or of an emulator. Plain http is
    /// refused unless it is on loopback.
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.common.endpoint_url = Some(url.into());
        self
    }

    /// The session token of temporary credentials; for
    /// [`from_custom_config`](AwsSecretStorage::from_custom_config) alone.
    pub fn session_token(mut self, token: impl Into<SecretString>) -> Self {
        self.session_token = Some(token.into());
        self
    }

    /// Uses the instance's role or nothing; for
    /// [`from_ec2_instance_config`](AwsSecretStorage::from_ec2_instance_config) alone.
    pub fn without_fallback(mut self) -> Self {
        self.without_fallback = true;
        if let Mode::Ec2 { fallback } = &mut self.mode {
            *fallback = false;
        }
        self
    }

    /// How writers exclude each other: [`Concurrency::Optimistic`] if not set.
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// Creates the secret, holding `{}`, if the service says that it does not exist. Needs a name instead of an ARN, and
    /// the permission `secretsmanager:CreateSecret`. Nothing else ever creates one.
    pub fn create_if_missing(mut self) -> Self {
        self.create = true;
        self
    }

    /// The KMS key of a secret that [`create_if_missing`](Self::create_if_missing) creates.
    pub fn kms_key_id(mut self, key: impl Into<String>) -> Self {
        self.kms_key_id = Some(key.into());
        self
    }

    /// Refuses every write before any I/O.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// How often one request is sent if the service does not answer or fails: 3 times if not set.
    pub fn max_attempts(mut self, attempts: NonZeroU32) -> Self {
        self.common.max_attempts = attempts.get();
        self
    }

    /// How long one request may take: 4 s if not set.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.common.attempt_timeout = timeout;
        self
    }

    /// How often a write may lose against other writers before it ends in a conflict: 16 if not set.
    pub fn write_attempts(mut self, attempts: NonZeroU32) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// How long a call may take in all, opening included, for which region and credentials are found too: 15 s if not
    /// set.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Finds region and credentials and reads the secret, once.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidArgument`] for a malformed id, no region, contradicting settings, or an unknown profile.
    /// - [`ErrorKind::Credentials`] if none are found, or the service does not accept them.
    /// - [`ErrorKind::NotFound`] if the secret does not exist or has no value.
    /// - [`ErrorKind::AccessDenied`] with the permission that is missing.
    /// - [`ErrorKind::InvalidConfig`] if its value is no configuration document.
    /// - Others of [`ErrorKind`] as the service or the network fails.
    pub async fn open(self) -> Result<ConfigStorage> {
        let id = SecretId::resolve(&self.key, variable)?;
        let deadline = self.deadline;
        let outcome = if self.create { Outcome::Unknown } else { Outcome::NotApplied };
        needs_runtime()?;
        let until = after(deadline);
        tokio::time::timeout_at(until, self.open_until(until)).await.unwrap_or_else(|_| {
            Err(not_applied(ErrorKind::Timeout, format!("{id} could not be opened within {deadline:?}"))
                .with_outcome(outcome)
                .with_hint("check network, proxy, VPC endpoint and region"))
        })
    }

    async fn open_until(self, until: Instant) -> Result<ConfigStorage> {
        let (create, kms_key_id) = (self.create, self.kms_key_id.clone());
        let (read_only, attempts, deadline) = (self.read_only, self.attempts, self.deadline);
        let (backend, client, id) = self.build(until).await?;
        let builder = || {
            let mut builder = ConfigStorage::builder(backend.clone()).deadline(deadline);
            if read_only {
                builder = builder.read_only();
            }
            match attempts {
                Some(attempts) => builder.attempts(attempts),
                None => builder,
            }
        };
        match builder().open().await {
            Err(error) if is_missing(&error) && create => {
                create_secret(&*client, &id, kms_key_id, &backend).await?;
                builder().open_or_create().await
            }
            Err(error) if is_missing(&error) => Err(error.with_hint(format!(
                "it may have no value or not exist in this region: aws secretsmanager create-secret --name {} \
                 --secret-string '{{}}', or put-secret-value if it exists",
                if id.is_arn() { "NAME" } else { id.name() }
            ))),
            result => result,
        }
    }

    /// The backend alone, for use below a [`Builder`](ksm_storage_core::Builder) of your own. The secret is not read.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for what only reading the secret shows. [`create_if_missing`](Self::create_if_missing)
    /// and [`read_only`](Self::read_only) concern `open`.
    pub async fn open_backend(self) -> Result<AwsSecretBackend> {
        needs_runtime()?;
        let until = after(self.deadline);
        self.build(until).await.map(|(backend, ..)| backend)
    }

    async fn build(self, until: Instant) -> Result<(AwsSecretBackend, Arc<dyn SecretsClient>, SecretId)> {
        let id = SecretId::resolve(&self.key, variable)?;
        self.check(&id)?;
        let Self { mut mode, common, session_token, concurrency, .. } = self;
        if let (Mode::Custom { credentials, .. }, Some(token)) = (&mut mode, session_token) {
            *credentials = Credentials::new(
                credentials.access_key_id(),
                credentials.secret_access_key(),
                Some(token.expose_secret().to_owned()),
                None,
                "ksm-storage",
            );
        }
        let resolving = tokio::time::timeout_at(until, resolve(mode, &common, &id));
        let config = resolving.await.unwrap_or_else(|_| {
            Err(not_applied(ErrorKind::Timeout, "no credentials or region were obtained before the deadline"))
        })?;
        let region = config.region().map(ToString::to_string).unwrap_or_default();
        let client: Arc<dyn SecretsClient> = Arc::new(SdkClient::new(&config));
        let backend = AwsSecretBackend::new(Arc::clone(&client), id.clone(), &region, concurrency);
        Ok((backend, client, id))
    }

    fn check(&self, id: &SecretId) -> Result<()> {
        let invalid = |what: &str| Err(not_applied(ErrorKind::InvalidArgument, what.to_owned()));
        if self.session_token.is_some() && !matches!(self.mode, Mode::Custom { .. }) {
            return invalid("session_token is for from_custom_config: other modes find their own");
        }
        if self.without_fallback && !matches!(self.mode, Mode::Ec2 { .. }) {
            return invalid("without_fallback is for from_ec2_instance_config: other modes have no fallback");
        }
        if self.kms_key_id.is_some() && !self.create {
            return invalid("kms_key_id is for create_if_missing: an existing secret has its key");
        }
        if self.create && self.read_only {
            return invalid("create_if_missing and read_only contradict each other");
        }
        if self.create && id.is_arn() {
            return invalid("create_if_missing needs a name: the service chooses the ARN");
        }
        Ok(())
    }
}

/// So long from now, or in a year.
fn after(deadline: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(deadline).unwrap_or_else(|| now + Duration::from_hours(365 * 24))
}

/// The SDK and its timeouts would panic.
fn needs_runtime() -> Result<()> {
    Handle::try_current().map(drop).map_err(|_| {
        not_applied(ErrorKind::Runtime, "no Tokio runtime on this thread")
            .with_hint("open it within one, or with blocking::ConfigStorage::open_with")
    })
}

/// Whether core found nothing. What the service refuses as not found, such as a secret marked for deletion, has a source.
fn is_missing(error: &Error) -> bool {
    error.kind() == ErrorKind::NotFound && std::error::Error::source(error).is_none()
}

async fn create_secret(
    client: &dyn SecretsClient,
    id: &SecretId,
    kms_key_id: Option<String>,
    backend: &AwsSecretBackend,
) -> Result<()> {
    let create = Create {
        name: id.name().to_owned(),
        // The same as that of a first write: whoever is second is told so.
        token: slot::id(&Version::new(NO_VALUE), 1),
        value: Payload::from("{}"),
        kms_key_id,
    };
    match client.create(&create).await {
        Ok(()) => {
            info!(location = %backend.location(), "created");
            Ok(())
        }
        // It exists without a value, or somebody else was faster.
        Err(error) if error.is("ResourceExistsException") => Ok(()),
        Err(error) => Err(failed(Call::Create, error, backend.location())),
    }
}

impl fmt::Debug for AwsStorageBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsStorageBuilder")
            // What is no id may be something secret.
            .field("id", &self.key.parse::<SecretId>().ok())
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}
