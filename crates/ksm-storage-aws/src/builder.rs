use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

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
    concurrency: Concurrency,
    create: bool,
    kms_key_id: Option<String>,
    read_only: bool,
    attempts: Option<NonZeroU32>,
    deadline: Duration,
}

impl AwsStorageBuilder {
    pub(crate) fn new(key: String, mode: Mode) -> Self {
        Self {
            key,
            mode,
            common: Common {
                region: None,
                endpoint_url: None,
                max_attempts: 3,
                attempt_timeout: Duration::from_secs(4),
                fallback: true,
            },
            session_token: None,
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
    /// [`from_custom_config`](crate::AwsSecretStorage::from_custom_config) alone.
    pub fn session_token(mut self, token: impl Into<SecretString>) -> Self {
        self.session_token = Some(token.into());
        self
    }

    /// Uses the instance's role or nothing; for
    /// [`from_ec2_instance_config`](crate::AwsSecretStorage::from_ec2_instance_config) alone.
    pub fn without_fallback(mut self) -> Self {
        self.common.fallback = false;
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
        let (id, until) = self.begin()?;
        let deadline = self.deadline;
        let outcome = if self.create { Outcome::Unknown } else { Outcome::NotApplied };
        tokio::time::timeout_at(until, self.open_until(until, &id)).await.unwrap_or_else(|_| {
            Err(not_applied(ErrorKind::Timeout, format!("{id} could not be opened within {deadline:?}"))
                .with_outcome(outcome)
                .with_hint("check network, proxy, VPC endpoint and region"))
        })
    }

    async fn open_until(self, until: Instant, id: &SecretId) -> Result<ConfigStorage> {
        let (create, kms_key_id) = (self.create, self.kms_key_id.clone());
        let (read_only, attempts, deadline) = (self.read_only, self.attempts, self.deadline);
        let (backend, client) = self.build(until, id).await?;
        let builder = || {
            let mut builder = ConfigStorage::builder(backend.clone()).deadline(deadline);
            if read_only {
                builder = builder.read_only();
            }
            match attempts {
                Some(attempts) => builder.write_attempts(attempts),
                None => builder,
            }
        };
        match builder().open().await {
            Err(error) if is_missing(&error) && create => {
                create_secret(&*client, id, kms_key_id, &backend).await?;
                builder().open_or_create().await
            }
            result => result,
        }
    }

    /// The backend alone, for use below a [`ConfigStorageBuilder`](ksm_storage_core::ConfigStorageBuilder) of your own. The
    /// secret is not read.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for what only reading the secret shows. [`create_if_missing`](Self::create_if_missing)
    /// and [`read_only`](Self::read_only) concern `open`.
    pub async fn open_backend(self) -> Result<AwsSecretBackend> {
        let (id, until) = self.begin()?;
        self.build(until, &id).await.map(|(backend, _)| backend)
    }

    /// Looks at the settings; returns what they name, and when the time is over.
    fn begin(&self) -> Result<(SecretId, Instant)> {
        let id = SecretId::resolve(&self.key, variable)?;
        self.check(&id)?;
        // The SDK and its timeouts would panic.
        Handle::try_current().map_err(|_| {
            not_applied(ErrorKind::Runtime, "no Tokio runtime on this thread")
                .with_hint("open it within one, or with blocking::ConfigStorage::open_with")
        })?;
        let now = Instant::now();
        // What is too long to be told is as good as a year.
        let until = now.checked_add(self.deadline).unwrap_or_else(|| now + Duration::from_hours(365 * 24));
        Ok((id, until))
    }

    async fn build(
        self,
        until: Instant,
        id: &SecretId,
    ) -> Result<(AwsSecretBackend, Arc<dyn SecretsClient>)> {
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
        let resolving = tokio::time::timeout_at(until, resolve(mode, &common, id));
        let config = resolving.await.unwrap_or_else(|_| {
            Err(not_applied(ErrorKind::Timeout, "no credentials or region were obtained before the deadline"))
        })?;
        let region = config.region().map(ToString::to_string).unwrap_or_default();
        let client: Arc<dyn SecretsClient> = Arc::new(SdkClient::new(&config));
        let backend = AwsSecretBackend::new(Arc::clone(&client), id.clone(), &region, concurrency);
        Ok((backend, client))
    }

    fn check(&self, id: &SecretId) -> Result<()> {
        let invalid = |what: &str| Err(not_applied(ErrorKind::InvalidArgument, what.to_owned()));
        if self.session_token.is_some() && !matches!(self.mode, Mode::Custom { .. }) {
            return invalid("session_token is for from_custom_config: other modes find their own");
        }
        if !self.common.fallback && !matches!(self.mode, Mode::Ec2) {
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
