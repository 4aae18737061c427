use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use async_trait::async_trait;
use ksm_storage_core::{
    ConfigStorage, Connect, Error, ErrorKind, OpenOptions, Outcome, Result, SecretString, StorageBackend,
    catch_panic,
};
use tokio::runtime::Handle;

use crate::{
    AwsSecretBackend, Concurrency, Connection, SdkClient, SecretId,
    backend::{Creation, location},
    credentials::{Common, Mode, resolve},
    endpoint::Endpoint,
    environment::Environment,
    setting::{Given, Setting},
};

/// Default of [`AwsStorageBuilder::max_attempts`].
pub(crate) const MAX_ATTEMPTS: u32 = 3;
/// Default of [`AwsStorageBuilder::attempt_timeout`].
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);

/// Settings for opening a storage. They are checked when it is opened.
///
/// [`open`](Self::open) is shorthand for [`ConfigStorage::builder`] with the [`OpenOptions`] set here. If you use that
/// builder yourself, its options apply and those set here do not, except [`read_only`](Self::read_only).
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
#[derive(Clone)]
#[must_use = "a builder does nothing until it is opened"]
pub struct AwsStorageBuilder {
    key: String,
    mode: Mode,
    region: Option<String>,
    fallback_regions: Vec<String>,
    /// The region of the replica that is opened instead of the secret.
    replica_region: Option<String>,
    endpoint_url: Option<String>,
    max_attempts: u32,
    attempt_timeout: Duration,
    fallback: bool,
    session_token: Option<SecretString>,
    concurrency: Concurrency,
    kms_key_id: Option<String>,
    options: OpenOptions,
}

impl AwsStorageBuilder {
    pub(crate) fn new(key: String, mode: Mode) -> Self {
        Self {
            key,
            mode,
            region: None,
            fallback_regions: Vec::new(),
            replica_region: None,
            endpoint_url: None,
            max_attempts: MAX_ATTEMPTS,
            attempt_timeout: ATTEMPT_TIMEOUT,
            fallback: true,
            session_token: None,
            concurrency: Concurrency::default(),
            kms_key_id: None,
            options: OpenOptions::default(),
        }
    }

    /// The secret's region. It must match a region in the ID.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Regions with a replica of the secret, which [`open`](Self::open) reads in this order if the secret's own region
    /// cannot be reached, does not reply, or replies with a server error. Empty by default.
    ///
    /// Denied access or an unknown secret is an error in any region. A replica is queried a second after the secret, or
    /// once that has failed. Its reply is used only if the secret's own region has failed, with a warning event;
    /// [`Snapshot::origin`](ksm_storage_core::Snapshot::origin) is then `Replica`. Writes and refreshes always go to
    /// the secret's own region.
    ///
    /// AWS documents neither how far a replica may lag behind nor that its versions have the same IDs; nothing here
    /// relies on either. The role needs `secretsmanager:GetSecretValue` on the replica's ARN, and `kms:Decrypt` on its
    /// key. An [`endpoint_url`](Self::endpoint_url) is used for all regions: omit one that serves a single region.
    ///
    /// ```no_run
    /// # use ksm_storage_aws::{AwsSecretStorage, Error};
    /// use ksm_storage_core::Origin;
    ///
    /// # async fn open() -> Result<(), Error> {
    /// let storage =
    ///     AwsSecretStorage::from_default_config("ksm-config").fallback_regions(["us-west-2"]).open().await?;
    /// if storage.snapshot().origin() == Origin::Replica {
    ///     println!("opened on a replica, which may be out of date");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn fallback_regions(mut self, regions: impl IntoIterator<Item: Into<String>>) -> Self {
        self.fallback_regions = regions.into_iter().map(Into::into).collect();
        self
    }

    /// A custom endpoint, such as a VPC endpoint without private DNS or an emulator. Plain HTTP is rejected unless it
    /// is on loopback.
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint_url = Some(url.into());
        self
    }

    /// The session token of temporary credentials; only for
    /// [`from_custom_config`](crate::AwsSecretStorage::from_custom_config).
    pub fn session_token(mut self, token: impl Into<SecretString>) -> Self {
        self.session_token = Some(token.into());
        self
    }

    /// Uses only the instance's role; only for
    /// [`from_ec2_instance_config`](crate::AwsSecretStorage::from_ec2_instance_config).
    pub fn without_fallback(mut self) -> Self {
        self.fallback = false;
        self
    }

    /// Mutual exclusion of writers. The default is [`Concurrency::Optimistic`].
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// Creates the secret, containing `{}`, if the service reports that it does not exist. Requires a name rather than
    /// an ARN, and the permission `secretsmanager:CreateSecret`. Only this option and
    /// [`open_or_create`](ksm_storage_core::ConfigStorageBuilder::open_or_create) create secrets; the latter opens one
    /// that is given by its ARN, but cannot create it.
    pub fn create_if_missing(mut self) -> Self {
        self.options.create = true;
        self
    }

    /// The KMS key for a secret that opening creates: with [`create_if_missing`](Self::create_if_missing), or
    /// [`open_or_create`](ksm_storage_core::ConfigStorageBuilder::open_or_create). An error if it creates none.
    pub fn kms_key_id(mut self, key: impl Into<String>) -> Self {
        self.kms_key_id = Some(key.into());
        self
    }

    /// Rejects every write before any I/O, whichever builder opens the storage.
    pub fn read_only(mut self) -> Self {
        self.options.read_only = true;
        self
    }

    /// Maximum number of attempts of a request that fails or gets no reply. The default is 3.
    pub fn max_attempts(mut self, attempts: NonZeroU32) -> Self {
        self.max_attempts = attempts.get();
        self
    }

    /// Time limit of one attempt of a request. The default is 4 s.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// Maximum number of attempts of a write that keeps losing to other writers; then it ends in a conflict. The
    /// default is 16.
    pub fn write_attempts(mut self, attempts: NonZeroU32) -> Self {
        self.options.write_attempts = attempts;
        self
    }

    /// Time limit of a whole call. Opening includes finding region and credentials. The default is 15 s.
    ///
    /// A backend from [`open_backend`](Self::open_backend) fits its retries to this limit: give the storage that uses it
    /// the same one.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.options.deadline = deadline;
        self
    }

    /// Finds region and credentials, and reads the secret once.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidArgument`] for a malformed id, no region, contradictory settings, an unknown profile, or a
    ///   malformed setting, which it names: a method's, an environment variable's or a profile's. Its source is a
    ///   [`RegionUnknown`](crate::RegionUnknown) if it is about the region.
    /// - [`ErrorKind::Credentials`] if none are found, or the service does not accept them.
    /// - [`ErrorKind::NotFound`] if the secret does not exist or has no value.
    /// - [`ErrorKind::AccessDenied`], naming the missing permission.
    /// - [`ErrorKind::InvalidConfig`] if the value is not a configuration document.
    /// - Other kinds for failures of the service or the network.
    pub async fn open(self) -> Result<ConfigStorage> {
        let options = self.options.clone();
        ConfigStorage::builder(self).options(options).open().await
    }

    /// Returns the backend without reading the secret. [`write_attempts`](Self::write_attempts) and
    /// [`fallback_regions`](Self::fallback_regions) have no effect.
    ///
    /// # Errors
    /// Those of [`open`](Self::open), except those that only reading the secret reveals.
    pub async fn open_backend(self) -> Result<AwsSecretBackend> {
        let options = self.options.clone();
        // Without a runtime, the SDK and its timeouts would panic.
        Handle::try_current().map_err(|_| Error::no_runtime())?;
        let deadline = options.deadline;
        tokio::time::timeout(deadline, self.build(&options)).await.unwrap_or_else(|_| {
            let message = format!("no credentials or region were obtained within {deadline:?}");
            Err(Error::not_applied(ErrorKind::Timeout, message).with_hint("check the network"))
        })
    }

    async fn build(self, options: &OpenOptions) -> Result<AwsSecretBackend> {
        let mut id = SecretId::resolve(&self.key, Environment::PROCESS)?;
        self.check(&id, options)?;
        let given = |name, value: Option<&String>| match value {
            Some(value) => Given::new(Setting::Method(name), value),
            None => Ok(None),
        };
        let region = |name, value| given(name, value)?.map(|given| given.region()).transpose();
        let fallback = |value| region("fallback_regions", Some(value)).map(Option::into_iter);
        let fallbacks: Vec<_> = self.fallback_regions.iter().map(fallback).collect::<Result<_>>()?;
        let replica = region("fallback_regions", self.replica_region.as_ref())?;
        if let Some(region) = &replica {
            id = id.in_region(region);
        }
        let kms_key_id = given("kms_key_id", self.kms_key_id.as_ref())?.map(Given::identifier).transpose()?;
        let common = Common {
            region: match &replica {
                Some(region) => Some(region.clone()),
                None => region("region", self.region.as_ref())?,
            },
            endpoint: given("endpoint_url", self.endpoint_url.as_ref())?.map(Endpoint::parse).transpose()?,
            max_attempts: self.max_attempts,
            attempt_timeout: self.attempt_timeout,
            deadline: options.deadline,
            fallback: self.fallback,
        };
        let Self { mut mode, session_token: token, concurrency, .. } = self;
        if let Mode::Custom { session_token, region, .. } = &mut mode {
            *session_token = token;
            if replica.is_some() {
                region.clear();
            }
        }
        // On the heap: it is large.
        let resolving = Box::pin(async { resolve(mode, &common, &id).await });
        let known = id.region().or(common.region.as_ref());
        let place = known.map(|region| location(&id, region.as_ref()));
        let resolved = catch_panic("credential and region resolution", resolving)
            .await
            .map_err(|panicked| Error::from(panicked).with_outcome(Outcome::NotApplied))
            .flatten()
            .map_err(|error| match place {
                Some(place) => error.with_location(place),
                None => error,
            })?;
        let profile = resolved.profile.clone();
        let connection = Connection::from(resolved);
        let region = connection.region();
        if fallbacks.into_iter().flatten().any(|fallback| fallback.as_ref() == region) {
            let message = format!("fallback_regions names {region}, the region of the secret itself");
            return Err(Error::not_applied(ErrorKind::InvalidArgument, message)
                .with_hint("name regions of its replicas"));
        }
        let client = Arc::new(SdkClient::traced(
            connection.sdk_config().into(),
            connection.trace(),
            connection.source.clone(),
            connection.thread.clone(),
        ));
        // The service chooses the ARN of a secret: one that is known by its ARN cannot be created.
        let creation = if options.create && !id.is_arn() {
            Creation::IfMissing { kms_key_id: kms_key_id.map(Given::into_string) }
        } else {
            Creation::Never
        };
        let backend = AwsSecretBackend::new(client, id, region, concurrency);
        let backend = backend.opened(creation, profile, options.deadline, connection);
        Ok(if self.options.read_only { backend.read_only() } else { backend })
    }

    fn check(&self, id: &SecretId, options: &OpenOptions) -> Result<()> {
        let invalid = |what: &str| Err(Error::not_applied(ErrorKind::InvalidArgument, what.to_owned()));
        if self.session_token.is_some() && !matches!(self.mode, Mode::Custom { .. }) {
            return invalid("session_token is for from_custom_config: other modes find their own");
        }
        if !self.fallback && !matches!(self.mode, Mode::Ec2) {
            return invalid("without_fallback is for from_ec2_instance_config: other modes have no fallback");
        }
        if self.kms_key_id.is_some() && !options.create {
            return invalid(
                "kms_key_id is for an opening that creates the secret: an existing one has its key",
            );
        }
        if self.kms_key_id.is_some() && id.is_arn() {
            return invalid(
                "kms_key_id needs the name of a secret: one that has an ARN exists, and has its key",
            );
        }
        if self.options.create && self.options.read_only {
            return invalid("create_if_missing and read_only contradict each other");
        }
        if self.options.create && id.is_arn() {
            return invalid("create_if_missing needs a name: the service chooses the ARN");
        }
        Ok(())
    }
}

#[async_trait]
impl Connect for AwsStorageBuilder {
    async fn connect(self: Arc<Self>, options: &OpenOptions) -> Result<Arc<dyn StorageBackend>> {
        Ok(Arc::new(Arc::unwrap_or_clone(self).build(options).await?))
    }

    fn replicas(&self) -> Vec<Arc<dyn Connect>> {
        let replica = |region: &String| {
            let mut options = self.options.clone();
            options.create = false;
            Arc::new(Self {
                replica_region: Some(region.clone()),
                fallback_regions: Vec::new(),
                kms_key_id: None,
                options,
                ..self.clone()
            }) as Arc<dyn Connect>
        };
        let regions = self.fallback_regions.iter().filter(|region| !region.trim().is_empty());
        regions.map(replica).collect()
    }
}

impl fmt::Debug for AwsStorageBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsStorageBuilder")
            // An invalid ID may contain something secret.
            .field("id", &self.key.parse::<SecretId>().ok())
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}
