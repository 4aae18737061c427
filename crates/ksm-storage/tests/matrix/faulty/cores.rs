use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use ksm_storage::{
    Capabilities, ConfigDocument, ConfigKey, Displaced, Error, ErrorKind, ExposeSecret, Location, Outcome,
    Payload, Result, Snapshot, StorageBackend, StoreOutcome, Stored, Version,
};
use ksm_storage_testkit::internal::{Change, Core, Handle, Settings};
use tokio::sync::OnceCell;

use super::faults;

faults! {
    /// A fault in core.
    CoreFault {
        MissingIsEmpty C1 "opens what is missing or unreadable as an empty document",
        LoadsTwice C1 "loads twice when it opens",
        ReadsWait C2 "lets reads wait for a writer",
        RefreshJoins C2 "lets a refresh join one that has read already",
        BelievesStaleLoads C2 "believes every load",
        SwallowsErrors C3 "reports a failed store as done",
        KeepsHalf C4 "keeps what a refused change had done",
        ForgetsOnFailure C4 "forgets the snapshot when a refresh fails",
        SkipsTheLoad C5 "builds on what it loaded last",
        AppliesTwice C6 "applies a change twice",
        RetriesSave C6 "saves on whatever is current",
        ResurrectsKeys C6 "writes back keys of its own snapshot",
        HidesDisplaced C7 "keeps a displaced version to itself",
        UnverifiedFails C7 "fails a write that could not be verified",
        NoOpFromSnapshot C8 "takes its snapshot's word that nothing changes",
        StoresNoOps C8 "stores a document that no change has altered",
        RetriesUnknown C9 "makes a write of unknown outcome again",
        DropsUnknownKeys C10 "writes only the keys that it knows",
        RoundsNumbers C10 "reads numbers as floating point",
        ClearsKnownKeys C11 "deletes only the keys that it knows",
        CreatesOnOpen C12 "creates what is missing when it opens",
        LeaksInDebug C13 "shows values in `Debug`",
        LeaksInErrors C13 "quotes the value in an error",
        NeverGivesUp C14 "retries a conflict for ever",
        WaitsForEver C14 "has no deadline",
        IgnoresReadOnly C15 "writes through a read-only handle",
        SendsTooMuch C15 "asks the store before it refuses what is too large",
    }
}

impl CoreFault {
    pub(super) fn inject(self, inner: Arc<dyn Core>) -> impl Core {
        BrokenCore { fault: self, inner }
    }
}

#[derive(Debug)]
struct BrokenCore {
    fault: CoreFault,
    inner: Arc<dyn Core>,
}

#[async_trait]
impl Core for BrokenCore {
    async fn open(
        &self,
        backend: Arc<dyn StorageBackend>,
        mut settings: Settings,
    ) -> Result<Arc<dyn Handle>> {
        match self.fault {
            CoreFault::IgnoresReadOnly => settings.read_only = false,
            CoreFault::WaitsForEver => settings.deadline = Duration::MAX,
            CoreFault::LoadsTwice => drop(backend.load().await),
            CoreFault::CreatesOnOpen => return self.open_or_create(backend, settings).await,
            _ => {}
        }
        let backend = self.between(backend);
        Ok(self.handle(self.inner.open(backend, settings).await?))
    }

    async fn open_or_create(
        &self,
        backend: Arc<dyn StorageBackend>,
        settings: Settings,
    ) -> Result<Arc<dyn Handle>> {
        let backend = self.between(backend);
        Ok(self.handle(self.inner.open_or_create(backend, settings).await?))
    }
}

impl BrokenCore {
    fn between(&self, inner: Arc<dyn StorageBackend>) -> Arc<dyn StorageBackend> {
        Arc::new(Between { fault: self.fault, inner, last: Mutex::default() })
    }

    fn handle(&self, inner: Arc<dyn Handle>) -> Arc<dyn Handle> {
        Arc::new(BrokenHandle { fault: self.fault, inner, shared: Arc::default() })
    }
}

/// Faults that are visible in core's calls to the backend.
#[derive(Debug)]
struct Between {
    fault: CoreFault,
    inner: Arc<dyn StorageBackend>,
    last: Mutex<Option<Stored>>,
}

impl Between {
    fn last(&self) -> std::sync::MutexGuard<'_, Option<Stored>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl StorageBackend for Between {
    fn location(&self) -> Location {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn load(&self) -> Result<Stored> {
        let last = self.last().clone();
        if let (CoreFault::SkipsTheLoad, Some(last)) = (self.fault, last) {
            return Ok(last);
        }
        let mut stored = match (self.inner.load().await, self.fault) {
            (Err(_), CoreFault::MissingIsEmpty) => Stored::present(Version::new("none"), ""),
            (result, _) => result?,
        };
        match self.fault {
            CoreFault::MissingIsEmpty => {
                let document =
                    stored.payload().and_then(|payload| ConfigDocument::parse(payload.as_bytes()).ok());
                stored = Stored::present(stored.version().clone(), document.unwrap_or_default().to_payload());
            }
            CoreFault::DropsUnknownKeys => {
                if let Stored::Present { payload, .. } = &mut stored {
                    *payload = known_keys(payload);
                }
            }
            CoreFault::RoundsNumbers => {
                if let Stored::Present { payload, .. } = &mut stored {
                    *payload = String::from_utf8_lossy(payload.as_bytes())
                        .replace("123456789012345678901234567890.50", "1.2345678901234568e29")
                        .into();
                }
            }
            _ => {}
        }
        *self.last() = Some(stored.clone());
        Ok(stored)
    }

    async fn confirm(&self, version: &Version) -> Result<bool> {
        Ok(matches!(self.fault, CoreFault::BelievesStaleLoads | CoreFault::SkipsTheLoad)
            || self.inner.confirm(version).await?)
    }

    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        let outcome = self.inner.store(expected, payload).await?;
        match (self.fault, outcome) {
            (
                CoreFault::UnverifiedFails,
                StoreOutcome::Committed { displaced: Displaced::Unverified, .. },
            ) => Err(Error::new(ErrorKind::Unexpected, "it could not be verified")),
            (CoreFault::SkipsTheLoad, outcome) => {
                *self.last() = match &outcome {
                    StoreOutcome::Committed { version, .. } => {
                        Some(Stored::present(version.clone(), payload.clone()))
                    }
                    StoreOutcome::Conflict { .. } => None,
                };
                Ok(outcome)
            }
            (_, outcome) => Ok(outcome),
        }
    }
}

fn known_keys(payload: &Payload) -> Payload {
    let Ok(document) = ConfigDocument::parse(payload.as_bytes()) else { return payload.clone() };
    let mut known = ConfigDocument::new();
    for &key in ConfigKey::ALL {
        if let Some(value) = document.get(key) {
            known.set(key, value.expose_secret());
        }
    }
    known.to_payload()
}

/// Faults that are visible in the answers of a handle.
struct BrokenHandle {
    fault: CoreFault,
    inner: Arc<dyn Handle>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    writing: AtomicBool,
    /// The result of the refresh in progress, if there is one.
    refreshing: Mutex<Arc<OnceCell<Result<Snapshot>>>>,
    forgotten: AtomicBool,
}

impl BrokenHandle {
    fn wait_for_writer(&self) {
        if self.fault != CoreFault::ReadsWait {
            return;
        }
        for _ in 0..150 {
            if !self.shared.writing.load(SeqCst) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Shares one refresh among all callers that arrive before it returns, even after it has read (the fault).
    async fn refresh_together(&self) -> Result<Snapshot> {
        let refresh = async {
            let result = self.inner.refresh().await;
            // The reply takes a while, so that there is something to join.
            tokio::time::sleep(Duration::from_millis(1)).await;
            *self.shared.refreshing.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
            result
        };
        let joined = Arc::clone(&self.shared.refreshing.lock().unwrap_or_else(PoisonError::into_inner));
        joined.get_or_init(|| refresh).await.clone()
    }

    /// Finishes every write.
    fn done<T: Default>(&self, result: Result<T>) -> Result<T> {
        self.shared.writing.store(false, SeqCst);
        match (self.fault, result) {
            (CoreFault::SwallowsErrors, Err(error)) if error.kind() == ErrorKind::Unavailable => {
                Ok(T::default())
            }
            (CoreFault::HidesDisplaced, Err(error)) if error.kind() == ErrorKind::Displaced => {
                Ok(T::default())
            }
            (_, result) => result,
        }
    }
}

#[async_trait]
impl Handle for BrokenHandle {
    fn snapshot(&self) -> Snapshot {
        self.wait_for_writer();
        self.inner.snapshot()
    }

    fn another(&self) -> Arc<dyn Handle> {
        Arc::new(Self { fault: self.fault, inner: self.inner.another(), shared: Arc::clone(&self.shared) })
    }

    fn get(&self, key: ConfigKey) -> Option<String> {
        self.wait_for_writer();
        if self.shared.forgotten.load(SeqCst) {
            return None;
        }
        self.inner.get(key)
    }

    async fn set(&self, key: ConfigKey, value: &str) -> Result<()> {
        self.shared.writing.store(true, SeqCst);
        let same = self.inner.get(key).as_deref() == Some(value);
        let result = match self.fault {
            CoreFault::NoOpFromSnapshot if same => Ok(()),
            CoreFault::StoresNoOps if same => {
                self.inner.set(key, "something else").await?;
                self.inner.set(key, value).await
            }
            CoreFault::ResurrectsKeys => {
                let mut document = self.inner.snapshot().document().clone();
                document.set(key, value);
                self.inner.replace(document).await
            }
            CoreFault::NeverGivesUp => loop {
                match self.inner.set(key, value).await {
                    Err(error) if error.kind() == ErrorKind::Conflict => tokio::task::yield_now().await,
                    result => break result,
                }
            },
            CoreFault::SendsTooMuch if value.len() > 50_000 => {
                self.inner.set(key, "to see whether it is there").await?;
                self.inner.set(key, value).await
            }
            CoreFault::LeaksInErrors => self.inner.set(key, value).await.map_err(|error| {
                Error::new(error.kind(), format!("{value} could not be set")).with_outcome(error.outcome())
            }),
            _ => self.inner.set(key, value).await,
        };
        self.done(result)
    }

    async fn delete(&self, key: ConfigKey) -> Result<bool> {
        if self.fault == CoreFault::NoOpFromSnapshot && self.inner.get(key).is_none() {
            return Ok(false);
        }
        let result = self.inner.delete(key).await;
        self.done(result)
    }

    async fn delete_all(&self) -> Result<()> {
        if self.fault == CoreFault::ClearsKnownKeys {
            for &key in ConfigKey::ALL {
                self.inner.delete(key).await?;
            }
            return Ok(());
        }
        let result = self.inner.delete_all().await;
        self.done(result)
    }

    async fn update(&self, mut change: Change) -> Result<String> {
        match self.fault {
            CoreFault::AppliesTwice => {
                let twice = move |document: &mut ConfigDocument| {
                    change(document)?;
                    change(document)
                };
                self.inner.update(Box::new(twice)).await
            }
            CoreFault::KeepsHalf => {
                let refusal = Arc::new(Mutex::new(None));
                let slot = Arc::clone(&refusal);
                let keep = move |document: &mut ConfigDocument| {
                    let result = change(document);
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = result.as_ref().err().cloned();
                    Ok(result.unwrap_or_default())
                };
                let result = self.inner.update(Box::new(keep)).await;
                let refusal = refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
                refusal.map_or(result, Err)
            }
            CoreFault::RetriesUnknown => {
                let change = Arc::new(Mutex::new(change));
                let shared = |change: &Arc<Mutex<Change>>| -> Change {
                    let change = Arc::clone(change);
                    Box::new(move |document| change.lock().unwrap_or_else(PoisonError::into_inner)(document))
                };
                match self.inner.update(shared(&change)).await {
                    Err(error) if error.outcome() == Outcome::Unknown => {
                        self.inner.update(shared(&change)).await?;
                        Err(error)
                    }
                    result => result,
                }
            }
            _ => {
                let result = self.inner.update(change).await;
                self.done(result)
            }
        }
    }

    async fn save(&self, base: &Snapshot, document: ConfigDocument) -> Result<()> {
        let result = match self.fault {
            CoreFault::RetriesSave => self.inner.replace(document).await,
            _ => self.inner.save(base, document).await,
        };
        self.done(result)
    }

    async fn replace(&self, document: ConfigDocument) -> Result<()> {
        let result = self.inner.replace(document).await;
        self.done(result)
    }

    async fn refresh(&self) -> Result<Snapshot> {
        if self.fault == CoreFault::RefreshJoins {
            return self.refresh_together().await;
        }
        let result = self.inner.refresh().await;
        if self.fault == CoreFault::ForgetsOnFailure && result.is_err() {
            self.shared.forgotten.store(true, SeqCst);
        }
        result
    }
}

impl fmt::Debug for BrokenHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("BrokenHandle");
        shown.field("inner", &self.inner);
        if self.fault == CoreFault::LeaksInDebug {
            shown.field("url", &self.inner.get(ConfigKey::Url));
        }
        shown.finish_non_exhaustive()
    }
}
