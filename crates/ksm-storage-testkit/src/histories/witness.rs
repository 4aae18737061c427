use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use ksm_storage_core::{
    Capabilities, Displaced, Location, Payload, Result, Snapshot, StorageBackend, StoreOutcome, Stored,
    Version,
};

use crate::{
    Failure,
    failure::{Checked, ensure},
};

/// Maximum wait for stores. A store that a test makes hang would never return.
const SETTLE: Duration = Duration::from_secs(5);

/// Wraps a backend to record the result of each load and store. Yields before and after each, as a network would: on a
/// store that answers at once, clients would rarely overlap.
#[derive(Debug)]
pub(super) struct Witness {
    inner: Arc<dyn StorageBackend>,
    ledger: Arc<Ledger>,
    random: Mutex<fastrand::Rng>,
}

impl Witness {
    pub(super) fn new(inner: Arc<dyn StorageBackend>, ledger: Arc<Ledger>, seed: u64) -> Self {
        Self { inner, ledger, random: Mutex::new(fastrand::Rng::with_seed(seed)) }
    }

    async fn give_way(&self) {
        let turns = self.random.lock().unwrap_or_else(PoisonError::into_inner).u8(0..=3);
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }
}

/// The observations of the witnesses of one store.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    payloads: HashMap<Version, Payload>,
    /// A version that was seen with two different contents.
    twofold: Option<Version>,
    displaced: bool,
    /// Number of stores in flight.
    in_flight: usize,
}

/// A store in flight: neither returned nor dropped.
struct InFlight<'a>(&'a Ledger);

impl<'a> InFlight<'a> {
    fn begin(ledger: &'a Ledger) -> Self {
        ledger.entries().in_flight += 1;
        Self(ledger)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.entries().in_flight -= 1;
    }
}

impl Ledger {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, version: &Version, payload: Option<&Payload>) {
        if let Some(payload) = payload {
            let mut entries = self.entries();
            let known = entries.payloads.insert(version.clone(), payload.clone());
            if known.is_some_and(|known| known != *payload) {
                entries.twofold = Some(version.clone());
            }
        }
    }

    /// Checks that each version was seen with one content only, so that it identifies one store event.
    pub(super) fn check_all(&self) -> Checked {
        match &self.entries().twofold {
            Some(version) => Err(format!("version {version} was shown with two contents").into()),
            None => Ok(()),
        }
    }

    /// Waits for the stores of dropped calls, because their displacements are reported to nobody else.
    pub(super) async fn settle(&self) {
        let start = Instant::now();
        while self.entries().in_flight > 0 && start.elapsed() < SETTLE {
            tokio::task::yield_now().await;
        }
    }

    /// True if a backend reported a displaced foreign version, or could not tell.
    pub(super) fn has_displaced(&self) -> bool {
        self.entries().displaced
    }

    /// Checks that a load or commit produced this snapshot's content under its version (C2).
    pub(super) fn check(&self, snapshot: &Snapshot) -> Checked {
        let version = snapshot.version();
        let payload = self.entries().payloads.get(version).cloned();
        let payload = payload.ok_or_else(|| {
            Failure::from(format!("a snapshot has version {version}, which no load or commit has shown"))
        })?;
        let produced = ksm_storage_core::ConfigDocument::parse(payload.as_bytes())?;
        ensure!(
            produced == *snapshot.document(),
            "the snapshot of version {version} is not what a load or commit has shown under it"
        );
        Ok(())
    }
}

#[async_trait]
impl StorageBackend for Witness {
    fn location(&self) -> Location {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn load(&self) -> Result<Stored> {
        self.give_way().await;
        let stored = self.inner.load().await?;
        self.give_way().await;
        self.ledger.add(stored.version(), stored.payload());
        Ok(stored)
    }

    async fn confirm(&self, version: &Version) -> Result<bool> {
        self.inner.confirm(version).await
    }

    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        let _in_flight = InFlight::begin(&self.ledger);
        self.give_way().await;
        let outcome = self.inner.store(expected, payload).await?;
        self.give_way().await;
        match &outcome {
            StoreOutcome::Committed { version, displaced } => {
                self.ledger.add(version, Some(payload));
                self.ledger.entries().displaced |= *displaced != Displaced::Nothing;
            }
            StoreOutcome::Conflict { current: Some(current), .. } => {
                self.ledger.add(current.version(), current.payload());
            }
            StoreOutcome::Conflict { current: None, .. } => {}
        }
        Ok(outcome)
    }
}
