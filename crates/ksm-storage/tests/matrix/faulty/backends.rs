use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use ksm_storage::{
    Capabilities, Displaced, Error, ErrorKind, Location, Outcome, Payload, Result, StorageBackend,
    StoreOutcome, Stored, Version,
};
use ksm_storage_testkit::{Condition, Fixture, Limits, NotOffered, Store};

use super::faults;

faults! {
    /// A fault in a backend.
    BackendFault {
        ErrorsBecomeEmpty C1 "takes what it cannot find for an empty document",
        TextIsTidied C1 "tidies what it loads",
        ConfirmsNothing C2 "confirms no version",
        AcknowledgesUnstored C3 "acknowledges without storing",
        LosesEverySecond C3 "swallows the failure of every second store",
        LoadsLag C3 "loads what was stored before, once after every store",
        RefusesApplied C4 "reports a store that was made as refused",
        ConditionDropped C6 "ignores the expected version",
        EqualPayloadsWin C6 "mistakes an equal stored payload for its own store",
        CheckThenStore C6 "checks the version, and stores later",
        ContentIsVersion C6 "makes the version from the content",
        ForeignOverlooked C7 "ignores the expected version where a foreign writer has stored",
        NeverVerifies C7 "never tells whether it has displaced something",
        Tears C9 "stores the first 4,000 bytes",
        CreatesOnLoad C12 "creates what is missing when it loads",
        LeaksInDebug C13 "shows its payload in `Debug`",
        LoadHangs C14 "never answers a load",
        StoreHangs C14 "never answers a store",
        LimitOverstated C15 "takes less than it says",
    }
}

impl BackendFault {
    pub(super) fn inject(self, inner: Arc<dyn Fixture>) -> impl Fixture {
        BrokenFixture { fault: self, inner }
    }
}

struct BrokenFixture {
    fault: BackendFault,
    inner: Arc<dyn Fixture>,
}

#[async_trait]
impl Fixture for BrokenFixture {
    fn name(&self) -> String {
        format!("{} that {}", self.inner.name(), self.fault.title())
    }

    async fn fresh(&self) -> Box<dyn Store> {
        Box::new(BrokenStore { fault: self.fault, inner: self.inner.fresh().await, shared: Arc::default() })
    }
}

struct BrokenStore {
    fault: BackendFault,
    inner: Box<dyn Store>,
    shared: Arc<Mutex<Shared>>,
}

/// State shared by the faulty backends on one store.
#[derive(Default)]
struct Shared {
    stores: usize,
    /// Versions written through these backends.
    own: HashSet<Version>,
    /// The answer to the next load.
    lagging: Option<Stored>,
    /// The content of the last load.
    seen: Option<Payload>,
}

#[async_trait]
impl Store for BrokenStore {
    async fn open(&self) -> Arc<dyn StorageBackend> {
        Arc::new(Broken {
            fault: self.fault,
            inner: self.inner.open().await,
            shared: Arc::clone(&self.shared),
        })
    }

    async fn write(&self, payload: Option<Payload>) {
        self.inner.write(payload).await;
    }

    async fn read(&self) -> Option<Payload> {
        self.inner.read().await
    }

    async fn impose(&self, condition: Condition) -> Result<(), NotOffered> {
        self.inner.impose(condition).await
    }

    async fn restore(&self) {
        self.inner.restore().await;
    }

    async fn remove(&self) -> Result<(), NotOffered> {
        self.inner.remove().await
    }

    async fn recreate(&self) {
        self.inner.recreate().await;
    }

    fn credentials(&self) -> Vec<String> {
        self.inner.credentials()
    }

    /// An in-process backend answers immediately or never.
    fn limits(&self) -> Limits {
        Limits { call: Duration::from_secs(1), ..self.inner.limits() }
    }
}

struct Broken {
    fault: BackendFault,
    inner: Arc<dyn StorageBackend>,
    shared: Arc<Mutex<Shared>>,
}

impl Broken {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores regardless of the current version.
    async fn store_anyway(&self, payload: &Payload) -> Result<StoreOutcome> {
        let current = self.inner.load().await?;
        self.inner.store(current.version(), payload).await
    }

    async fn acknowledge_unstored(&self) -> Result<StoreOutcome> {
        let stored = self.inner.load().await?;
        Ok(StoreOutcome::committed(Version::new(format!("{}+", stored.version()))))
    }
}

#[async_trait]
impl StorageBackend for Broken {
    fn location(&self) -> Location {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn load(&self) -> Result<Stored> {
        let lagging = self.shared().lagging.take();
        if let Some(stored) = lagging {
            return Ok(stored);
        }
        if self.fault == BackendFault::LoadHangs {
            std::future::pending::<()>().await;
        }
        let mut stored = self.inner.load().await?;
        match (self.fault, &mut stored) {
            (BackendFault::ErrorsBecomeEmpty, Stored::Absent { version, .. }) => {
                stored = Stored::present(version.clone(), "{}");
            }
            (BackendFault::TextIsTidied, Stored::Present { payload, .. }) => {
                *payload = String::from_utf8_lossy(payload.as_bytes()).trim().into();
            }
            (BackendFault::CreatesOnLoad, Stored::Absent { version, .. }) => {
                self.inner.store(version, &"{}".into()).await?;
                return self.inner.load().await;
            }
            (BackendFault::ContentIsVersion, Stored::Present { version, payload }) => {
                *version = content_version(Some(payload));
            }
            (BackendFault::ContentIsVersion, Stored::Absent { version, .. }) => {
                *version = content_version(None);
            }
            _ => {}
        }
        self.shared().seen = stored.payload().cloned();
        Ok(stored)
    }

    async fn confirm(&self, version: &Version) -> Result<bool> {
        match self.fault {
            BackendFault::ConfirmsNothing => Ok(false),
            _ => self.inner.confirm(version).await,
        }
    }

    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        let count = {
            let mut shared = self.shared();
            shared.stores += 1;
            shared.stores
        };
        let outcome = match self.fault {
            BackendFault::AcknowledgesUnstored => return self.acknowledge_unstored().await,
            BackendFault::LosesEverySecond if count % 2 == 0 => return self.acknowledge_unstored().await,
            BackendFault::ConditionDropped => self.store_anyway(payload).await?,
            BackendFault::EqualPayloadsWin => {
                let current = self.inner.load().await?;
                if current.payload() == Some(payload) {
                    return Ok(StoreOutcome::committed(current.version().clone()));
                }
                self.inner.store(expected, payload).await?
            }
            BackendFault::CheckThenStore => {
                let current = self.inner.load().await?;
                if current.version() != expected {
                    return Ok(StoreOutcome::conflict(current));
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
                self.store_anyway(payload).await?
            }
            BackendFault::ContentIsVersion => {
                let current = self.inner.load().await?;
                if content_version(current.payload()) != *expected {
                    return Ok(StoreOutcome::conflict(None));
                }
                self.inner.store(current.version(), payload).await?;
                StoreOutcome::committed(content_version(Some(payload)))
            }
            BackendFault::ForeignOverlooked => {
                let current = self.inner.load().await?;
                let own = self.shared().own.contains(current.version());
                let expected = if own { expected } else { current.version() };
                self.inner.store(expected, payload).await?
            }
            BackendFault::NeverVerifies => match self.inner.store(expected, payload).await? {
                StoreOutcome::Committed { version, .. } => {
                    StoreOutcome::Committed { version, displaced: Displaced::Unverified }
                }
                conflict @ StoreOutcome::Conflict { .. } => conflict,
            },
            BackendFault::Tears => {
                let torn = payload.as_bytes()[..payload.len().min(4_000)].to_vec();
                self.inner.store(expected, &torn.into()).await?
            }
            BackendFault::StoreHangs => std::future::pending().await,
            BackendFault::LimitOverstated if payload.len() > 50_000 => {
                return Err(
                    Error::new(ErrorKind::TooLarge, "more than it takes").with_outcome(Outcome::NotApplied)
                );
            }
            BackendFault::RefusesApplied => {
                self.inner.store(expected, payload).await?;
                return Err(
                    Error::new(ErrorKind::Unavailable, "so it says").with_outcome(Outcome::NotApplied)
                );
            }
            BackendFault::LoadsLag => {
                let before = self.inner.load().await?;
                let outcome = self.inner.store(expected, payload).await?;
                self.shared().lagging = Some(before);
                outcome
            }
            _ => self.inner.store(expected, payload).await?,
        };
        if let StoreOutcome::Committed { version, .. } = &outcome {
            self.shared().own.insert(version.clone());
        }
        Ok(outcome)
    }
}

/// A version that repeats when the content does.
fn content_version(payload: Option<&Payload>) -> Version {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    payload.map(Payload::as_bytes).hash(&mut hasher);
    Version::new(hasher.finish().to_string())
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.shared().seen.clone();
        let shown = seen.filter(|_| self.fault == BackendFault::LeaksInDebug);
        let shown = shown.map(|payload| String::from_utf8_lossy(payload.as_bytes()).into_owned());
        f.debug_struct("Broken").field("inner", &self.inner).field("shown", &shown).finish_non_exhaustive()
    }
}
