use std::{
    borrow::Cow,
    fmt,
    pin::pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::{Either, select};
use ksm_storage_core::{
    Capabilities, Clock, Displaced, Error, ErrorKind, Location, NONCE_LEN, Outcome, Payload, Result,
    StorageBackend, StoreOutcome, Stored, SystemClock, Version, Writes, append_nonce, strip_nonce,
};

use tracing::info;

use crate::{
    Concurrency, SecretId,
    client::{
        CURRENT, CallError, Create, MAX_VALUE, MoveCurrent, PREVIOUS, Put, SecretVersion, SecretsClient,
        Select,
    },
    error::{Call, absence, classify, failed},
    slot,
};

/// The version of a secret that has no value yet. No version id is as short.
pub(crate) const NO_VALUE: &str = "";
/// What staged versions are labelled with. One fixed label: those of all versions together may be 20.
const STAGED: &str = "KSM_STAGED";
/// How many successors one version may have used up.
const MAX_SLOTS: u32 = 32;
/// How long a taken slot must lead nowhere before the next one is used: by then a writer who holds it has moved
/// `AWSCURRENT` on, or never will, and no read is stale any more. That is an assumption about time, the only one; a
/// stager holds itself to half of it.
const BURNT_AFTER: Duration = Duration::from_secs(2);
/// How long the check after a write may take. Core cannot tell a check that hangs from a write that does, and would
/// report the write as unknown when the caller's deadline passes. A deadline that comes sooner still does that.
const CHECK_LIMIT: Duration = Duration::from_secs(2);

/// A configuration in one secret of AWS Secrets Manager.
///
/// [`AwsSecretStorage`](crate::AwsSecretStorage) opens one with credentials and region found; this is for those who
/// bring a client of their own.
#[derive(Clone)]
pub struct AwsSecretBackend(Arc<Inner>);

struct Inner {
    client: Arc<dyn SecretsClient>,
    id: SecretId,
    location: Location,
    concurrency: Concurrency,
    creation: Creation,
    clock: Arc<dyn Clock>,
    /// The full ARN, from the first answer on: a secret deleted and made anew under its name is another one.
    arn: OnceLock<String>,
}

/// The use of `CreateSecret` in a store on the absence of the secret.
pub(crate) enum Creation {
    Never,
    IfMissing { kms_key_id: Option<String> },
}

/// What became of a put.
enum Placed {
    /// Our bytes are under the id, with these labels.
    Ours { labels: Vec<String> },
    /// Other bytes are.
    Taken,
}

/// What to do about a taken slot.
enum Next {
    Conflict(Option<Stored>),
    Slot(u32),
}

impl AwsSecretBackend {
    /// The secret `id`, through `client`, which `region` belongs to.
    pub fn new(client: Arc<dyn SecretsClient>, id: SecretId, region: &str, concurrency: Concurrency) -> Self {
        Self::with_clock(client, id, region, concurrency, Arc::new(SystemClock::new()))
    }

    /// As [`new`](Self::new), with another source of time.
    pub fn with_clock(
        client: Arc<dyn SecretsClient>,
        id: SecretId,
        region: &str,
        concurrency: Concurrency,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let address = if id.is_arn() { id.as_str().to_owned() } else { format!("{region}/{}", id.name()) };
        let location = Location::new("aws-sm", address);
        let (creation, arn) = (Creation::Never, OnceLock::new());
        Self(Arc::new(Inner { client, id, location, concurrency, creation, clock, arn }))
    }

    /// The same, where the first store may create the secret; before it is cloned.
    pub(crate) fn creation(mut self, creation: Creation) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.creation = creation;
        }
        self
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
        // That reads are fresh is documented nowhere.
        Capabilities::new(writes).max_payload(MAX_VALUE - NONCE_LEN).stale_reads()
    }

    async fn load(&self) -> Result<Stored> {
        self.0.load().await
    }

    async fn confirm(&self, version: &Version) -> Result<bool> {
        self.0.confirm(version).await
    }

    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        self.0.store(expected, payload).await
    }
}

impl Inner {
    fn secret(&self) -> &str {
        self.arn.get().map_or(self.id.as_str(), String::as_str)
    }

    fn failed(&self, call: Call, error: CallError) -> Error {
        failed(call, error, self.location.clone())
    }

    fn error(&self, kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Error {
        Error::not_applied(kind, message).with_location(self.location.clone())
    }

    async fn load(&self) -> Result<Stored> {
        match self.current().await {
            Ok(found) => Ok(Stored::present(Version::new(found.id), strip_nonce(found.value))),
            Err(error) if error.is("ResourceNotFoundException") => {
                Ok(Stored::absent(Version::new(NO_VALUE), absence(&self.id, error)))
            }
            Err(error) => Err(self.failed(Call::Get, error)),
        }
    }

    /// Whether the version carries `AWSCURRENT`, read by its ID.
    async fn confirm(&self, version: &Version) -> Result<bool> {
        if version.as_str() == NO_VALUE {
            return Ok(self.load().await?.version() == version);
        }
        match self.get(Select::Id(version.as_str().to_owned())).await {
            Ok(found) => Ok(found.labels.iter().any(|label| label == CURRENT)),
            Err(error) if error.is("ResourceNotFoundException") => Ok(false),
            Err(error) => Err(self.failed(Call::Get, error)),
        }
    }

    async fn current(&self) -> Result<SecretVersion, CallError> {
        let mut result = self.client.get(self.secret(), &Select::Current).await;
        // The service does not know a secret by name and suffix, and may tell a role that reads this secret alone no more
        // than that it may not. The name alone finds it; that it is the one with this suffix is checked.
        if let (Err(error), None, false, Some(name)) =
            (&result, self.arn.get(), self.id.is_arn(), self.id.without_suffix())
            && (error.is("ResourceNotFoundException")
                || error.is("AccessDeniedException") && self.id.has_suffix_for_sure())
        {
            let suffixed = format!(":secret:{}", self.id.name());
            match self.client.get(name, &Select::Current).await {
                Ok(found) if found.arn.ends_with(&suffixed) => result = Ok(found),
                _ => {}
            }
        }
        if let Ok(found) = &result {
            self.arn.get_or_init(|| found.arn.clone());
        }
        result
    }

    async fn get(&self, version: Select) -> Result<SecretVersion, CallError> {
        self.client.get(self.secret(), &version).await
    }

    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        let framed = self.frame(payload)?;
        if let Creation::IfMissing { kms_key_id } = &self.creation
            && expected.as_str() == NO_VALUE
            && let Some(version) = self.create(kms_key_id.clone(), &framed).await?
        {
            return Ok(StoreOutcome::committed(version));
        }
        let mut number = 1;
        while number <= MAX_SLOTS {
            let token = slot::id(expected, number);
            let start = self.clock.now();
            match self.put(expected, &token, &framed).await? {
                Placed::Ours { labels } => {
                    return match self.concurrency {
                        Concurrency::Optimistic => Ok(StoreOutcome::Committed {
                            displaced: self.displaced(expected, &token).await,
                            version: Version::new(token),
                        }),
                        // A first value is current at once, and is, or was, without a move.
                        Concurrency::Strict if is_promoted(&labels) => {
                            Ok(StoreOutcome::committed(Version::new(token)))
                        }
                        Concurrency::Strict if expected.as_str() == NO_VALUE => Err(self
                            .error(ErrorKind::Conflict, "another program gave the secret its first value")
                            // Or two others have followed this one, before its labels were read.
                            .with_outcome(Outcome::Unknown)),
                        // Others may soon take a stager as slow as this for a crashed one, and this slot for burnt.
                        Concurrency::Strict if self.clock.now().saturating_sub(start) >= BURNT_AFTER / 2 => {
                            Ok(StoreOutcome::Conflict { current: None })
                        }
                        Concurrency::Strict => self.promote(expected, token).await,
                    };
                }
                Placed::Taken => match self.taken(expected, number).await? {
                    Next::Conflict(current) => return Ok(StoreOutcome::Conflict { current }),
                    Next::Slot(next) => number = next,
                },
            }
        }
        Err(self
            .error(
                ErrorKind::Conflict,
                format!(
                    "all {MAX_SLOTS} successors of this version are taken, by rollbacks to it or by writers that could \
                     not move AWSCURRENT"
                ),
            )
            .with_hint(
                "with Concurrency::Strict see that secretsmanager:UpdateSecretVersionStage is granted; store the value \
                 once more by hand (aws secretsmanager put-secret-value), then try again",
            ))
    }

    /// The bytes to be sent, which no other write has.
    fn frame(&self, payload: &Payload) -> Result<Payload> {
        if std::str::from_utf8(payload.as_bytes()).is_err() {
            return Err(self.error(ErrorKind::InvalidArgument, "the payload is not UTF-8"));
        }
        let nonce = getrandom::u64()
            .map_err(|_| self.error(ErrorKind::Unavailable, "the system gives no random numbers"))?;
        let framed = append_nonce(payload, nonce);
        if framed.len() > MAX_VALUE {
            let message =
                format!("the value would have {} bytes, and the service takes {MAX_VALUE}", framed.len());
            return Err(self.error(ErrorKind::TooLarge, message));
        }
        Ok(framed)
    }

    /// The first version of a new secret, or `None` if the secret exists by now.
    async fn create(&self, kms_key_id: Option<String>, value: &Payload) -> Result<Option<Version>> {
        let token = slot::id(&Version::new(NO_VALUE), 1);
        let create = Create {
            name: self.id.name().to_owned(),
            // That of a first put, which excludes one.
            token: token.clone(),
            value: value.clone(),
            kms_key_id,
        };
        let error = match self.client.create(&create).await {
            Ok(()) => {
                info!(location = %self.location, "created");
                return Ok(Some(Version::new(token)));
            }
            Err(error) if error.is("ResourceExistsException") => return Ok(None),
            Err(error) => error,
        };
        if classify(Call::Create, &error).1 == Outcome::Unknown
            && let Ok(found) = self.get(Select::Id(token.clone())).await
        {
            return Ok((found.value == *value).then(|| Version::new(token)));
        }
        Err(self.failed(Call::Create, error))
    }

    async fn put(&self, expected: &Version, token: &str, value: &Payload) -> Result<Placed> {
        let label = (self.concurrency == Concurrency::Strict).then_some(STAGED);
        let put =
            Put { secret: self.secret().to_owned(), token: token.to_owned(), value: value.clone(), label };
        let error = match self.client.put(&put).await {
            Ok(reply) if reply.id == token => return Ok(Placed::Ours { labels: reply.labels }),
            Ok(_) => {
                let message = "the service stored the value under another version id than the one given";
                return Err(self.error(ErrorKind::Unexpected, message).with_outcome(Outcome::Unknown));
            }
            Err(error) if error.is("ResourceExistsException") => return Ok(Placed::Taken),
            Err(error) => error,
        };
        // What is staged is not applied, but for the first value of a secret, which becomes current whatever its label.
        let staged = label.is_some() && expected.as_str() != NO_VALUE;
        if classify(Call::Put, &error).1 == Outcome::Unknown {
            if let Ok(found) = self.get(Select::Id(token.to_owned())).await {
                return Ok(if found.value == *value {
                    Placed::Ours { labels: found.labels }
                } else {
                    Placed::Taken
                });
            }
            let told = self.failed(Call::Put, error);
            return Err(if staged { told.with_outcome(Outcome::NotApplied) } else { told });
        }
        Err(self.refused(error).await)
    }

    /// A put that was refused; of a replica with its primary region.
    async fn refused(&self, error: CallError) -> Error {
        let maybe_replica = error.is("InvalidParameterException");
        let told = self.failed(Call::Put, error);
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
        told
    }

    /// R2: whether the slot is taken because `expected` is no longer current, or because it was rolled back to, or a
    /// writer crashed. Slots that are taken during the wait for another one are not passed over: whoever took them has
    /// the same time.
    async fn taken(&self, expected: &Version, first: u32) -> Result<Next> {
        let mut pause = Duration::from_millis(50);
        // The first free slot, and when all before it were seen to be taken.
        let mut next = None;
        loop {
            let asked = self.clock.now();
            let current = self.load().await.map_err(|error| error.with_outcome(Outcome::NotApplied))?;
            if current.version() != expected {
                return Ok(Next::Conflict(Some(current)));
            }
            let Some(free) = self.free_slot(expected, first).await? else {
                return Ok(Next::Conflict(None));
            };
            let &mut (number, since) = next.get_or_insert_with(|| (free, self.clock.now()));
            if asked.saturating_sub(since) >= BURNT_AFTER {
                return Ok(Next::Slot(number));
            }
            let waited = self.clock.now().saturating_sub(since);
            self.clock.sleep(pause.min(BURNT_AFTER.saturating_sub(waited))).await;
            pause *= 2;
        }
    }

    /// The first slot from `taken` on that nothing is in. `None` if one of those before it is current: then a read was
    /// stale.
    async fn free_slot(&self, expected: &Version, taken: u32) -> Result<Option<u32>> {
        for number in taken..=MAX_SLOTS {
            match self.get(Select::Id(slot::id(expected, number))).await {
                Ok(found) if found.labels.iter().any(|label| label == CURRENT) => return Ok(None),
                Ok(_) => {}
                Err(error) if error.is("ResourceNotFoundException") => {
                    return Ok((number > taken).then_some(number));
                }
                Err(error) => return Err(self.failed(Call::Get, error)),
            }
        }
        Ok(Some(MAX_SLOTS + 1))
    }

    /// R3: whether our version displaced one that is not the one expected. A write that is good stays so whatever comes
    /// of this, or if nothing does.
    async fn displaced(&self, expected: &Version, token: &str) -> Displaced {
        let limit = self.clock.alarm(self.clock.now().saturating_add(CHECK_LIMIT));
        match select(pin!(self.look_for_displaced(expected, token)), limit).await {
            Either::Left((displaced, _)) => displaced,
            Either::Right(_) => Displaced::Unverified,
        }
    }

    async fn look_for_displaced(&self, expected: &Version, token: &str) -> Displaced {
        let previous = match self.get(Select::Previous).await {
            Ok(previous) => previous.id,
            // The first value of a secret has nothing before it.
            Err(error) if error.is("ResourceNotFoundException") && expected.as_str() == NO_VALUE => {
                return Displaced::Nothing;
            }
            Err(_) => return Displaced::Unverified,
        };
        if previous == expected.as_str() {
            return Displaced::Nothing;
        }
        // Another write has followed ours: what was previous to ours cannot be seen any more.
        if previous == token {
            return Displaced::Unverified;
        }
        match self.get(Select::Current).await {
            Ok(current) if current.id == token => Displaced::Foreign {
                inspect: Some(format!(
                    "aws secretsmanager get-secret-value --secret-id {} --version-id {previous}",
                    self.secret()
                )),
                version: Version::new(previous),
            },
            _ => Displaced::Unverified,
        }
    }

    /// Makes the staged version the current one, if `expected` still is.
    async fn promote(&self, expected: &Version, token: String) -> Result<StoreOutcome> {
        let committed = |token| Ok(StoreOutcome::committed(Version::new(token)));
        let request = MoveCurrent {
            secret: self.secret().to_owned(),
            to: token.clone(),
            from: expected.as_str().to_owned(),
        };
        let Err(error) = self.client.move_current(&request).await else { return committed(token) };
        if error.is("InvalidParameterException") {
            let current = self.load().await.map_err(|error| error.with_outcome(Outcome::NotApplied))?;
            return Ok(StoreOutcome::Conflict {
                current: (current.version() != expected).then_some(current),
            });
        }
        if classify(Call::Move, &error).1 == Outcome::Unknown
            && let Ok(found) = self.get(Select::Id(token.clone())).await
            && is_promoted(&found.labels)
        {
            return committed(token);
        }
        Err(self.failed(Call::Move, error))
    }
}

/// Whether a version with these labels is current, or was until the last move.
fn is_promoted(labels: &[String]) -> bool {
    labels.iter().any(|label| label == CURRENT || label == PREVIOUS)
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
