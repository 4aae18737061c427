use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, Mutex, OnceLock, atomic::AtomicBool},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use ksm_storage_core::{
    Capabilities, Clock, Error, ErrorKind, Location, NONCE_LEN, OpenOptions, Payload, Result, StorageBackend,
    StoreOutcome, Stored, SystemClock, Version, Writes, strip_nonce,
};

use crate::{
    Concurrency, Connection, SecretId,
    client::{CURRENT, CallError, ListedVersion, MAX_VALUE, SecretVersion, SecretsClient, Select},
    error::{Call, absence, failed},
    hints::Place,
    protocol::VersionId,
    slot::NO_VALUE,
    throttle::Throttle,
};

/// A configuration in one AWS Secrets Manager secret.
///
/// [`AwsSecretStorage`](crate::AwsSecretStorage) finds credentials and region and opens one; use this type directly to
/// supply your own client.
#[derive(Clone)]
pub struct AwsSecretBackend(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) client: Arc<dyn SecretsClient>,
    pub(crate) id: SecretId,
    /// Region and profile of the client, for commands in hints.
    region: String,
    profile: Option<String>,
    connection: Option<Connection>,
    pub(crate) location: Location,
    pub(crate) concurrency: Concurrency,
    pub(crate) clock: Arc<dyn Clock>,
    /// Time limit of a load that is being throttled.
    pub(crate) patience: Duration,
    /// The full ARN, once a reply contained it: a secret that is deleted and recreated under the same name is a
    /// different one.
    arn: OnceLock<String>,
    pub(crate) creation: Creation,
    read_only: bool,
    /// Set once this role was denied moving `AWSCURRENT`, for as long as the backend exists: each attempt would use up
    /// one of the base's slots, until no writer could pass.
    pub(crate) move_denied: AtomicBool,
    /// The last known version of the chain that begins with this backend's last commit.
    pub(crate) chain: Mutex<Option<Version>>,
}

/// Use of `CreateSecret` by a store that finds the secret absent.
pub(crate) enum Creation {
    Never,
    IfMissing { kms_key_id: Option<String> },
}

impl AwsSecretBackend {
    /// A backend for the secret `id`, accessed through `client` in `region`.
    ///
    /// Throttled reads are retried for 12 s and throttled puts for 6 s, which suits the default deadline of a storage.
    /// With a shorter deadline, a storage on this backend ends in [`ErrorKind::Timeout`] rather than
    /// [`ErrorKind::Throttled`]: open from an [`AwsStorageBuilder`](crate::AwsStorageBuilder), which adapts them.
    pub fn new(client: Arc<dyn SecretsClient>, id: SecretId, region: &str, concurrency: Concurrency) -> Self {
        Self::with_clock(client, id, region, concurrency, Arc::new(SystemClock::new()))
    }

    /// Like [`new`](Self::new), with another source of time.
    pub fn with_clock(
        client: Arc<dyn SecretsClient>,
        id: SecretId,
        region: &str,
        concurrency: Concurrency,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let location = location(&id, region);
        Self(Arc::new(Inner {
            client,
            id,
            region: region.to_owned(),
            profile: None,
            connection: None,
            location,
            concurrency,
            clock,
            patience: patience(OpenOptions::default().deadline),
            arn: OnceLock::new(),
            creation: Creation::Never,
            read_only: false,
            move_denied: AtomicBool::new(false),
            chain: Mutex::default(),
        }))
    }

    /// The connection to the service, unless the backend was created with the caller's own client.
    pub fn connection(&self) -> Option<&Connection> {
        self.0.connection.as_ref()
    }

    /// The primary region, if this secret is a replica. Requires the permission `secretsmanager:DescribeSecret`, which
    /// no other method needs.
    ///
    /// # Errors
    /// Those of a load.
    pub async fn replica_of(&self) -> Result<Option<String>> {
        let primary = self.0.client.primary_region(self.0.secret()).await;
        let primary = primary.map_err(|error| self.0.failed(Call::Describe, error))?;
        Ok(primary.filter(|region| *region != self.0.region))
    }

    /// Adds the results of opening, before the backend is cloned.
    pub(crate) fn opened(
        mut self,
        creation: Creation,
        profile: Option<String>,
        deadline: Duration,
        connection: Connection,
    ) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.patience = patience(deadline);
            inner.creation = creation;
            inner.profile = profile;
            inner.connection = Some(connection);
        }
        self
    }

    /// Rejects every store, before the backend is cloned.
    pub(crate) fn read_only(mut self) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.read_only = true;
        }
        self
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }
}

#[async_trait]
impl StorageBackend for AwsSecretBackend {
    fn location(&self) -> Location {
        self.0.location.clone()
    }

    fn capabilities(&self) -> Capabilities {
        let writes = match self.0.concurrency {
            Concurrency::Optimistic => Writes::Cooperative,
            Concurrency::Strict => Writes::Exact,
        };
        // Fresh reads are not documented anywhere.
        let capabilities = Capabilities::new(writes).max_payload(MAX_VALUE - NONCE_LEN).stale_reads();
        if self.0.read_only {
            return capabilities.read_only("this backend was opened read-only", "omit read_only to write");
        }
        capabilities
    }

    async fn load(&self) -> Result<Stored> {
        let stored = self.0.load().await?;
        self.0.follow(stored.version()).await;
        Ok(stored)
    }

    async fn confirm(&self, version: &Version) -> Result<bool> {
        self.0.confirm(version).await
    }

    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        self.capabilities().check_write().map_err(|error| error.with_location(self.location()))?;
        self.0.store(expected, payload).await
    }
}

/// The location of a secret, as shown in errors.
pub(crate) fn location(id: &SecretId, region: &str) -> Location {
    if id.is_arn() {
        Location::opaque("aws-sm", id.as_str())
    } else {
        Location::new("aws-sm", format!("{region}/{}", id.name()))
    }
}

/// The part of a deadline in which a throttled load is retried. The rest is for reporting the failure, or for a
/// subsequent write.
pub(crate) fn patience(deadline: Duration) -> Duration {
    deadline / 5 * 4
}

/// The part of that time in which a throttled put is retried.
pub(crate) fn put_patience(patience: Duration) -> Duration {
    patience / 2
}

impl Inner {
    pub(crate) fn secret(&self) -> &str {
        self.arn.get().map_or(self.id.as_str(), String::as_str)
    }

    pub(crate) fn place(&self) -> Place<'_> {
        Place {
            id: &self.id,
            arn: self.arn.get().map(String::as_str),
            region: &self.region,
            profile: self.profile.as_deref(),
            credentials: self.connection.as_ref().map(Connection::credentials_source),
        }
    }

    pub(crate) fn failed(&self, call: Call, error: CallError) -> Error {
        failed(call, error, &self.place(), self.location.clone())
    }

    pub(crate) fn error(&self, kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Error {
        Error::not_applied(kind, message).with_location(self.location.clone())
    }

    async fn load(&self) -> Result<Stored> {
        match self.current().await {
            Ok(found) => Ok(Stored::present(Version::new(found.id), strip_nonce(found.value))),
            Err(error) if error.is("ResourceNotFoundException") => {
                Ok(Stored::absent(Version::new(NO_VALUE), absence(&self.place(), error)))
            }
            Err(error) => Err(self.failed(Call::Get, error)),
        }
    }

    /// Reads the labels by version ID. An absent value has no version ID, so this checks that our own first value does
    /// not exist.
    pub(crate) async fn confirm(&self, version: &Version) -> Result<bool> {
        if version.is_no_value() {
            return Ok(!self.exists(&version.slot(1)).await? && self.load().await?.version() == version);
        }
        match self.get(Select::Id(version.as_str().to_owned())).await {
            Ok(found) => Ok(found.labels.iter().any(|label| label == CURRENT)),
            Err(error) if error.is("ResourceNotFoundException") => Ok(false),
            Err(error) => Err(self.failed(Call::Get, error)),
        }
    }

    async fn current(&self) -> Result<SecretVersion, CallError> {
        self.found(|name| self.client.get(name, &Select::Current), |version| &version.arn).await
    }

    pub(crate) async fn list(&self) -> Result<Vec<ListedVersion>, CallError> {
        let list = self.found(|name| self.client.versions(name), |list| &list.arn).await?;
        Ok(list.versions)
    }

    /// Reads under the ID, then perhaps [without its suffix](Self::name_without_suffix). Each read is repeated while it
    /// is throttled. A failed second read is the result, unless it shows that no secret has the bare name either.
    async fn found<'a, T>(
        &'a self,
        read: impl Fn(&'a str) -> BoxFuture<'a, Result<T, CallError>>,
        arn: fn(&T) -> &str,
    ) -> Result<T, CallError> {
        let mut throttle = Throttle::new(&*self.clock, &self.location, self.patience);
        let (mut name, mut first) = (self.secret(), None);
        loop {
            let result = read(name).await;
            match (result, first.take()) {
                (Err(error), before) if throttle.pause(&error).await => first = before,
                (Err(error), None) => {
                    let Some(bare) = self.name_without_suffix(&error) else { return Err(error) };
                    name = bare;
                    first = Some(error);
                }
                (Err(error), Some(first)) if error.is("ResourceNotFoundException") => return Err(first),
                (Ok(found), Some(first)) if !self.is_arn_of_this(arn(&found)) => return Err(first),
                (result, _) => {
                    if let Ok(found) = &result {
                        self.arn.get_or_init(|| arn(found).to_owned());
                    }
                    return result;
                }
            }
        }
    }

    /// The name to try after this error. The service cannot look up a secret by name and suffix, and to a role limited
    /// to this secret it may only report denied access. The bare name finds the secret;
    /// [`is_arn_of_this`](Self::is_arn_of_this) checks that its suffix matches.
    fn name_without_suffix(&self, error: &CallError) -> Option<&str> {
        let may_be_suffix = error.is("ResourceNotFoundException")
            || error.is("AccessDeniedException") && self.id.has_suffix_for_sure();
        let is_name = self.arn.get().is_none() && !self.id.is_arn();
        self.id.without_suffix().filter(|_| may_be_suffix && is_name)
    }

    fn is_arn_of_this(&self, arn: &str) -> bool {
        arn.ends_with(&format!(":secret:{}", self.id.name()))
    }

    pub(crate) async fn get(&self, version: Select) -> Result<SecretVersion, CallError> {
        self.client.get(self.secret(), &version).await
    }

    /// The error of a refused put. For a replica, it names the primary region.
    pub(crate) async fn put_refused(&self, error: CallError) -> Error {
        let maybe_replica = error.is("InvalidParameterException");
        let failed = self.failed(Call::Put, error);
        let is_own = |region: &str| {
            let arn = self.arn.get().and_then(|arn| arn.parse::<SecretId>().ok());
            arn.as_ref().and_then(SecretId::region).is_some_and(|own| own.as_ref() == region)
        };
        if maybe_replica
            && let Ok(Some(region)) = self.client.primary_region(self.secret()).await
            && !is_own(&region)
        {
            return self
                .error(ErrorKind::ReadOnly, format!("the secret is a replica of the one in {region}"))
                .with_hint(format!("write in {region}; a replica can only be read"));
        }
        failed
    }
}

impl fmt::Debug for AwsSecretBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsSecretBackend")
            .field("location", &self.0.location)
            .field("concurrency", &self.0.concurrency)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "backend_tests.rs"]
mod tests;
