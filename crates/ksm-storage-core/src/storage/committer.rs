//! The task that processes the queue: load, change, store once, answer.

use std::{mem, time::Duration};

use tracing::Instrument;

use super::{
    Shared,
    backoff::{pause, within_deadline},
    change::{Base, Entry, ended_early},
    hook,
    queue::Stage,
    reader::{self, timeout},
};
use crate::{
    ConfigDocument, Displaced, Error, ErrorKind, Outcome, Result, Snapshot, StoreOutcome, Stored,
    Verification, Version,
    clock::within,
    events::{Event, Step},
    measure,
    sync::{Arc, lock, yield_now},
};

/// Processes batches until the queue is empty. At most one exists per handle family.
///
/// If it is dropped (its runtime ends, or a backend panics), every open call is answered, and the next call starts
/// another.
pub(super) struct Committer {
    shared: Arc<Shared>,
    batch: Vec<Entry>,
    /// Calls that altered nothing in a store that failed. They run again, because the failure does not concern them.
    spared: Vec<Entry>,
    /// The time at which the batch was taken from the queue.
    taken_at: Duration,
    /// True once the queue was found empty: from then on, it may belong to another committer.
    finished: bool,
}

/// Result of one attempt.
enum Attempt {
    /// The batch is done, and this snapshot is current.
    Installed { snapshot: Snapshot, displaced: Displaced },
    /// Another writer won; holds the value that it wrote, if known.
    Conflict(Option<Stored>),
    /// The load returned an earlier version, and nothing was stored.
    Stale,
}

impl Committer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, batch: Vec::new(), spared: Vec::new(), taken_at: Duration::ZERO, finished: false }
    }

    pub(super) async fn run(mut self) {
        while self.take_batch() {
            while !self.batch.is_empty() {
                let result = self.commit().await;
                self.answer(&result);
                self.batch = mem::take(&mut self.spared);
            }
        }
    }

    fn take_batch(&mut self) -> bool {
        self.taken_at = self.shared.clock.now();
        let mut queue = lock(&self.shared.queue);
        self.batch = mem::take(&mut queue.waiting);
        self.finished = self.batch.is_empty();
        let mut queue = hook::taken(&self.shared.queue, queue);
        queue.running = !self.finished;
        if queue.running {
            queue.begin_batch(self.taken_at);
        }
        queue.running
    }

    fn enter(&self, stage: Stage) {
        lock(&self.shared.queue).stage = stage;
    }

    async fn commit(&mut self) -> Result<(Snapshot, Displaced)> {
        let deadline = self.batch.iter().map(|entry| entry.deadline).max().unwrap_or_default();
        let attempts = self.shared.options.write_attempts.get();
        let mut carried = None;
        for attempt in 1..=attempts {
            let loads = carried.is_none();
            match self.attempt(attempt, deadline, carried.take()).await? {
                Attempt::Installed { snapshot, displaced } => return Ok((snapshot, displaced)),
                // The load may have been stale, and the next one may be too. A second conflict, on the value carried by
                // the first, shows real contention.
                Attempt::Conflict(current) if current.is_some() && loads => carried = current,
                Attempt::Conflict(_) if attempt < attempts => self.back_off(attempt, deadline).await?,
                Attempt::Conflict(_) | Attempt::Stale => {}
            }
        }
        Err(Error::not_applied(ErrorKind::Conflict, "other writers were faster on every attempt"))
    }

    async fn attempt(
        &mut self,
        attempt: u32,
        deadline: Duration,
        carried: Option<Stored>,
    ) -> Result<Attempt> {
        let shared = Arc::clone(&self.shared);
        self.enter(Stage::Load);
        let loaded = match carried {
            Some(stored) if !lock(&shared.history).is_earlier(stored.version()) => stored,
            _ => reader::load(&*shared.backend, &*shared.clock, &shared.history, deadline).await?,
        };
        if let Some(snapshot) = self.answer_applied(&loaded)? {
            return Ok(Attempt::Installed { snapshot, displaced: Displaced::Unverified });
        }
        hook::loaded(&shared.queue, &mut self.batch);
        let parsed = loaded.payload().map(|_| reader::parse(&loaded)).transpose()?;
        let after = loop {
            self.batch.retain(|entry| !entry.claim.is_withdrawn());
            let before = self.base(&loaded, parsed.as_ref())?;
            self.enter(Stage::Change);
            let after = self.apply(loaded.version(), before, deadline).await?;
            // The call that allowed creating the document may have been dropped meanwhile.
            self.base(&loaded, before)?;
            if before == Some(&after) {
                // No store shows that the load was fresh.
                if self.batch.iter().any(Entry::acknowledges) {
                    self.enter(Stage::Load);
                    if !reader::confirm(&*shared.backend, &*shared.clock, loaded.version(), deadline).await? {
                        lock(&shared.history).outdate(loaded.version());
                        return Ok(Attempt::Stale);
                    }
                }
                let snapshot = shared.install(loaded.version(), after);
                return Ok(Attempt::Installed { snapshot, displaced: Displaced::Nothing });
            }
            if shared.clock.now() >= deadline {
                return Err(timeout("the deadline passed before the store began"));
            }
            if self.begin_store() {
                break after;
            }
        };
        hook::storing(&shared, loaded.version(), &after);
        let payload = after.to_payload();
        self.enter(Stage::Store);
        let started = shared.clock.now();
        let span = Step::Store { location: &|| shared.location(), attempt }.span();
        let store = shared.backend.store(loaded.version(), &payload).instrument(span);
        let outcome = within(&*shared.clock, deadline, store)
            .await
            .unwrap_or_else(|| Err(Stage::Store.timeout_error().with_outcome(Outcome::Unknown)));
        let elapsed = shared.clock.now().saturating_sub(started);
        measure::store(|| shared.location(), elapsed, &outcome);
        match outcome {
            Err(error) => {
                self.spare_unaltered();
                Err(error)
            }
            Ok(StoreOutcome::Committed { version, displaced }) => {
                Event::Store { attempt, version: &version, elapsed }.log(|| shared.location());
                report(&shared, &version, &displaced);
                let snapshot = shared.install_checked(&version, after, verification(&displaced));
                Ok(Attempt::Installed { snapshot, displaced })
            }
            Ok(StoreOutcome::Conflict { current, applied_if }) => {
                Event::Conflict { attempt, version: loaded.version(), elapsed }.log(|| shared.location());
                let altered = self.batch.iter_mut().filter(|entry| entry.altered);
                for change in altered.filter_map(|entry| entry.change.as_mut()) {
                    change.keep_result(&applied_if);
                }
                end_store(&self.batch);
                Ok(Attempt::Conflict(current))
            }
        }
    }

    /// Answers the calls whose change is in `loaded` after all, although an earlier store of it met a conflict. Returns
    /// the snapshot if no call is left.
    fn answer_applied(&mut self, loaded: &Stored) -> Result<Option<Snapshot>> {
        let version = loaded.version();
        if !self.batch.iter().any(|entry| entry.is_in(version)) {
            return Ok(None);
        }
        report(&self.shared, version, &Displaced::Unverified);
        let document = reader::parse(loaded)?;
        let snapshot = self.shared.install_checked(version, document, Verification::Inconclusive);
        let batch = mem::take(&mut self.batch).into_iter();
        let (applied, rest): (Vec<_>, _) = batch.partition(|entry| entry.is_in(version));
        self.batch = rest;
        for entry in applied {
            entry.answer(Ok(snapshot.clone()));
        }
        Ok(self.batch.is_empty().then_some(snapshot))
    }

    /// The stored document, or `None` if nothing is stored and the batch is to create it.
    fn base<'a>(
        &self,
        loaded: &Stored,
        parsed: Option<&'a ConfigDocument>,
    ) -> Result<Option<&'a ConfigDocument>> {
        match loaded {
            Stored::Absent { absence, .. } if !self.batch.iter().any(Entry::creates) => {
                Err(absence.clone().into())
            }
            _ => Ok(parsed),
        }
    }

    /// Runs the batch's changes in order, each on a copy that is dropped if the change fails. Copies share content, so
    /// a change costs the same in a large document as in a small one. Between two changes, other tasks may run, so that
    /// callers notice their deadlines.
    async fn apply(
        &mut self,
        version: &Version,
        before: Option<&ConfigDocument>,
        deadline: Duration,
    ) -> Result<ConfigDocument> {
        let shared = Arc::clone(&self.shared);
        let (family, limit) = (shared.family(), shared.max_len());
        let mut document = before.cloned().unwrap_or_default();
        let mut untouched = true;
        for (index, entry) in self.batch.iter_mut().enumerate() {
            if index > 0 {
                yield_now().await;
                if shared.clock.now() >= deadline {
                    return Err(timeout("the deadline passed before the store began"));
                }
            }
            entry.succeeded = false;
            entry.altered = false;
            if entry.claim.is_withdrawn() {
                // The result of an earlier attempt must not answer the caller.
                entry.change = None;
                continue;
            }
            let base = Base { version, untouched };
            let Some(changed) = entry.run(&*shared.clock, family, base, document.clone()).await else {
                continue;
            };
            entry.succeeded = true;
            let created = before.is_none() && entry.creates();
            if changed == document && !created {
                continue;
            }
            let len = changed.encoded_len();
            if len > limit {
                entry.discard(len, limit);
                continue;
            }
            entry.altered = true;
            document = changed;
            untouched = false;
        }
        self.batch.retain(|entry| entry.change.is_some());
        Ok(document)
    }

    /// Claims the decision about every change. Returns false if a change that altered the document has been withdrawn,
    /// so that the others must run again without it.
    fn begin_store(&self) -> bool {
        let all = self.batch.iter().all(|entry| entry.claim.begin_store() || !entry.altered);
        if !all {
            end_store(&self.batch);
        }
        all
    }

    fn spare_unaltered(&mut self) {
        let batch = mem::take(&mut self.batch).into_iter();
        (self.batch, self.spared) = batch.partition(|entry| entry.altered);
        end_store(&self.spared);
    }

    async fn back_off(&mut self, attempt: u32, deadline: Duration) -> Result<()> {
        self.enter(Stage::Pause);
        let clock = &*self.shared.clock;
        let wait = pause(clock, attempt);
        Event::Retry { attempt, wait }.log(|| self.shared.location());
        measure::retry(|| self.shared.location());
        within_deadline(clock, deadline, clock.sleep(wait)).await.ok_or_else(|| Stage::Pause.timeout_error())
    }

    fn answer(&mut self, result: &Result<(Snapshot, Displaced)>) {
        for entry in self.batch.drain(..) {
            let answer = result.clone().and_then(|(snapshot, displaced)| {
                let error = displaced_error(&snapshot, &displaced).filter(|_| entry.altered);
                error.map_or(Ok(snapshot), Err)
            });
            let queued_at = entry.queued_at;
            entry
                .answer(answer.map_err(|error| self.shared.with_queue_time(error, self.taken_at, queued_at)));
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let mut abandoned = mem::take(&mut self.batch);
        {
            let mut queue = lock(&self.shared.queue);
            abandoned.append(&mut queue.waiting);
            queue.running = false;
            hook::abandoned(&mut queue);
        }
        for entry in abandoned {
            let outcome = if entry.claim.is_storing() { Outcome::Unknown } else { Outcome::NotApplied };
            entry.answer(Err(ended_early(outcome)));
        }
    }
}

fn end_store(entries: &[Entry]) {
    for entry in entries {
        entry.claim.end_store();
    }
}

/// Logs what a store displaced.
fn report(shared: &Shared, version: &Version, displaced: &Displaced) {
    let event = match displaced {
        Displaced::Nothing => return,
        Displaced::Unverified => Event::Unverified { version },
        Displaced::Cooperative { version: displaced, .. } => {
            Event::DisplacedCooperative { version, displaced }
        }
        Displaced::Foreign { version: displaced, .. } => Event::DisplacedForeign { version, displaced },
    };
    event.log(|| shared.location());
}

fn verification(displaced: &Displaced) -> Verification {
    match displaced {
        Displaced::Unverified => Verification::Inconclusive,
        Displaced::Nothing | Displaced::Cooperative { .. } | Displaced::Foreign { .. } => {
            Verification::Conclusive
        }
    }
}

/// The error of a write that displaced something.
fn displaced_error(snapshot: &Snapshot, displaced: &Displaced) -> Option<Error> {
    let (version, writer, inspect) = match displaced {
        Displaced::Nothing | Displaced::Unverified => return None,
        Displaced::Cooperative { version, inspect } => {
            (version, "of another writer of this project, after a foreign write or a rollback", inspect)
        }
        Displaced::Foreign { version, inspect } => (version, "of a foreign writer", inspect),
    };
    let stored = snapshot.version();
    let message = format!("version {stored} was stored; version {version}, {writer}, was displaced");
    let error = Error::new(ErrorKind::Displaced, message)
        .with_outcome(Outcome::Applied)
        .with_displaced(version.clone());
    Some(match inspect {
        Some(command) => error.with_hint(format!("to see what was displaced: {command}")),
        None => error,
    })
}
