//! Runs programs and records their histories.

use std::{
    panic::resume_unwind,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::Poll,
};

use ksm_storage_core::{ConfigDocument, ConfigKey, Error, ErrorKind, ExposeSecret, Outcome};
use tokio::sync::Barrier;

use super::{
    Mode,
    program::{ClientStep, KEYS, Program},
    witness::{Ledger, Witness},
};
use crate::{
    Failure, FaultRates, FaultyBackend, Store, SystemUnderTest, TestClock,
    handle::{Change, Core, Handle, Settings},
    history::{Answer, Call, Event, State},
};

/// The result of a run of programs.
pub(super) struct Recorded {
    pub(super) events: Vec<Event>,
    pub(super) injected: usize,
    /// True if a foreign version was, or may have been, displaced.
    pub(super) displaced: bool,
}

/// State shared by the clients of one run.
struct Run {
    store: Box<dyn Store>,
    core: Arc<dyn Core>,
    mode: Mode,
    seed: u64,
    time: AtomicU64,
    handles: AtomicUsize,
    backends: Mutex<Vec<FaultyBackend>>,
    ledger: Arc<Ledger>,
    start: Barrier,
}

/// A handle with its number and its faults.
#[derive(Clone)]
struct Open {
    number: usize,
    handle: Arc<dyn Handle>,
    backend: FaultyBackend,
}

/// Runs the programs concurrently, each on its own handle.
pub(super) async fn record(sut: &SystemUnderTest, mode: Mode, program: Program) -> Result<Recorded, Failure> {
    let store = sut.fixture.fresh().await;
    store.write(Some("{}".into())).await;
    let run = Arc::new(Run {
        store,
        core: Arc::clone(&sut.core),
        mode,
        seed: program.seed,
        time: AtomicU64::new(0),
        handles: AtomicUsize::new(0),
        backends: Mutex::default(),
        ledger: Arc::default(),
        start: Barrier::new(program.clients.len() + usize::from(!program.foreign.is_empty())),
    });
    let mut tasks = Vec::new();
    if !program.foreign.is_empty() {
        tasks.push(tokio::spawn(foreign(Arc::clone(&run), program.clients.len(), program.foreign)));
    }
    let mut first = None;
    for (client, steps) in program.clients.into_iter().enumerate() {
        let open = match &first {
            Some(Open { number, handle, backend }) if client == 1 && program.shared => {
                Open { number: *number, handle: handle.another(), backend: backend.clone() }
            }
            _ => run.open(client, 0).await?,
        };
        tasks.push(tokio::spawn(self::client(Arc::clone(&run), client, open.clone(), steps)));
        first.get_or_insert(open);
    }
    drop(first);
    let mut events = Vec::new();
    for task in tasks {
        events.extend(task.await.map_err(|error| error.to_string())??);
    }
    run.ledger.settle().await;
    run.ledger.check_all()?;
    let backends = run.backends.lock().unwrap_or_else(PoisonError::into_inner);
    let injected = backends.iter().map(FaultyBackend::injected).sum();
    Ok(Recorded { events, injected, displaced: run.ledger.has_displaced() })
}

/// The calls of a program unrelated to this project.
async fn foreign(run: Arc<Run>, client: usize, documents: Vec<State>) -> Result<Vec<Event>, Failure> {
    run.start.wait().await;
    let mut events = Vec::new();
    for document in documents {
        let invoked = run.now();
        run.store.write(Some(parse(&document)?.to_payload())).await;
        let returned = Some((run.now(), Answer::Done));
        events.push(Event { client, handle: usize::MAX, call: Call::Replace(document), invoked, returned });
        tokio::task::yield_now().await;
    }
    Ok(events)
}

async fn client(
    run: Arc<Run>,
    client: usize,
    mut open: Open,
    steps: Vec<ClientStep>,
) -> Result<Vec<Event>, Failure> {
    run.start.wait().await;
    // Faults begin once there is a handle.
    open.backend.set_rates(run.mode.rates());
    let mut events = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        let mut handle = open.number;
        let invoked = run.now();
        let (call, returned) = match step {
            ClientStep::Make(call) => {
                let returned = make(&run, &*open.handle, &call).await;
                (call, returned)
            }
            ClientStep::Save(key, value) => {
                let base = open.handle.snapshot();
                let mut document = base.document().clone();
                document.set(key.parse::<ConfigKey>()?, value);
                let call = Call::Save { base: contents(base.document()), document: contents(&document) };
                let returned = match open.handle.save(&base, document).await {
                    Ok(()) => Ok(Answer::Done),
                    Err(error)
                        if error.kind() == ErrorKind::Conflict && error.outcome() == Outcome::NotApplied =>
                    {
                        Ok(Answer::Conflict)
                    }
                    Err(error) => Err(error.into()),
                };
                (call, returned)
            }
            ClientStep::Reopen => match run.open(client, number + 1).await {
                Ok(opened) => {
                    open = opened;
                    open.backend.set_rates(run.mode.rates());
                    handle = open.number;
                    let snapshot = open.handle.snapshot();
                    (Call::Open, Ok(Answer::Document(contents(snapshot.document()))))
                }
                Err(error) => (Call::Open, Err(error.into())),
            },
            ClientStep::Drop(call, polls) => {
                let handle = open.handle.another();
                let returned = dropped(make(&run, &*handle, &call), polls).await;
                (call, returned.unwrap_or(Err(CallFailure::Dropped)))
            }
        };
        let returned = match returned {
            Ok(answer) => Some((run.now(), answer)),
            Err(CallFailure::Dropped) => None,
            Err(CallFailure::Error(error)) => match error.outcome() {
                Outcome::Applied if run.mode == Mode::Foreign => Some((run.now(), Answer::Applied)),
                Outcome::Unknown if run.mode == Mode::Faults => None,
                // A foreign write may hide whether a conditional write was made before it.
                Outcome::Unknown if run.mode == Mode::Foreign && error.kind() == ErrorKind::Conflict => None,
                Outcome::NotApplied if run.mode.allows(&error) => continue,
                _ => return Err(error.into()),
            },
            Err(CallFailure::Wrong(failure)) => return Err(failure),
        };
        events.push(Event { client, handle, call, invoked, returned });
    }
    Ok(events)
}

/// The end of a call without an answer.
enum CallFailure {
    Error(Error),
    Wrong(Failure),
    Dropped,
}

impl From<Error> for CallFailure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Run {
    fn now(&self) -> u64 {
        self.time.fetch_add(1, Ordering::SeqCst)
    }

    /// Opens a handle for a step of a client. Its faults depend only on these two, not on the order of opening.
    async fn open(&self, client: usize, step: usize) -> Result<Open, Error> {
        let clock = TestClock::new();
        let seed = self.seed.wrapping_add((client * 100 + step) as u64);
        let settings = Settings { clock: Some(clock.clone()), ..self.mode.settings() };
        let backend = self.store.open().await;
        let backend = FaultyBackend::new(backend, Arc::new(clock), FaultRates::NONE, seed);
        self.backends.lock().unwrap_or_else(PoisonError::into_inner).push(backend.clone());
        let witness = Witness::new(Arc::new(backend.clone()), Arc::clone(&self.ledger), seed);
        let handle = self.core.open(Arc::new(witness), settings).await?;
        Ok(Open { number: self.handles.fetch_add(1, Ordering::Relaxed), handle, backend })
    }
}

/// The future's output, or `None` if it is still pending after `polls` polls.
async fn dropped<T>(future: impl Future<Output = T>, polls: u8) -> Option<T> {
    let mut future = Box::pin(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        context.waker().wake_by_ref();
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// Makes the call on a handle.
async fn make(run: &Run, handle: &dyn Handle, call: &Call) -> Result<Answer, CallFailure> {
    if matches!(call, Call::Get | Call::Refresh) {
        let snapshot = if *call == Call::Get { handle.snapshot() } else { handle.refresh().await? };
        run.ledger.check(&snapshot).map_err(CallFailure::Wrong)?;
        return Ok(Answer::Document(contents(snapshot.document())));
    }
    Ok(answer(handle, call).await?)
}

/// Makes a call on a handle, and returns its answer.
pub(crate) async fn answer(handle: &dyn Handle, call: &Call) -> Result<Answer, Error> {
    let value = |seen: String| Answer::Value((!seen.is_empty()).then_some(seen));
    Ok(match call {
        Call::Increment(key) => value(handle.update(increment(key)).await?),
        Call::Swap(one, other) => value(handle.update(swap(one.parse()?, other.parse()?)).await?),
        Call::Set(key, value) => {
            handle.set(key.parse()?, value).await?;
            Answer::Done
        }
        Call::Delete(key) => Answer::Found(handle.delete(key.parse()?).await?),
        Call::DeleteAll => {
            handle.delete_all().await?;
            Answer::Done
        }
        Call::Replace(document) => {
            handle.replace(parse(document)?).await?;
            Answer::Done
        }
        Call::Refuse(key) => {
            let (seen, change) = spoil(key.parse()?, || Err(Error::refused("as every time")));
            match handle.update(change).await {
                Err(error) if error.kind() == ErrorKind::Refused => value(seen()),
                Err(error) => return Err(error),
                Ok(_) => return Err(Error::new(ErrorKind::Unexpected, "a refusal was taken for a success")),
            }
        }
        Call::Panic(key) => {
            // Unwinds without calling the panic hook, because this panic is expected.
            let (seen, change) = spoil(key.parse()?, || resume_unwind(Box::new("as every time")));
            match caught(handle.update(change)).await {
                Err(_) => value(seen()),
                Ok(Err(error)) => return Err(error),
                Ok(Ok(_)) => {
                    return Err(Error::new(ErrorKind::Unexpected, "a panic was taken for a success"));
                }
            }
        }
        Call::Refresh => Answer::Document(contents(handle.refresh().await?.document())),
        Call::Get => Answer::Document(contents(handle.snapshot().document())),
        Call::Save { .. } | Call::Open => {
            return Err(Error::new(ErrorKind::Unexpected, "a step of its own"));
        }
    })
}

async fn caught<T>(call: impl Future<Output = T>) -> std::thread::Result<T> {
    let mut call = Box::pin(call);
    std::future::poll_fn(|context| {
        let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call.as_mut().poll(context)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}

/// A change that sets the key and then fails, and what it saw in its last run.
fn spoil(
    key: ConfigKey,
    end: impl Fn() -> Result<String, Error> + Send + 'static,
) -> (impl Fn() -> String, Change) {
    let seen = Arc::new(Mutex::new(String::new()));
    let slot = Arc::clone(&seen);
    let change = move |document: &mut ConfigDocument| {
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = read(document, key);
        document.set(key, "spoilt");
        end()
    };
    (move || seen.lock().unwrap_or_else(PoisonError::into_inner).clone(), Box::new(change))
}

fn read(document: &ConfigDocument, key: ConfigKey) -> String {
    document.get(key).map(|value| value.expose_secret().to_owned()).unwrap_or_default()
}

/// Adds one to the number under the key, and returns the previous number.
pub(crate) fn increment(key: &str) -> Change {
    let key = key.parse::<ConfigKey>();
    Box::new(move |document| {
        let key = key.clone()?;
        let before = read(document, key);
        let count = before.parse::<u64>().unwrap_or(0);
        document.set(key, (count + 1).to_string());
        Ok(before)
    })
}

/// Exchanges the values of two keys, and returns the previous value of the first.
fn swap(one: ConfigKey, other: ConfigKey) -> Change {
    Box::new(move |document| {
        let values = [read(document, one), read(document, other)];
        for (key, value) in [(one, &values[1]), (other, &values[0])] {
            if value.is_empty() {
                document.remove(key);
            } else {
                document.set(key, value.as_str());
            }
        }
        let [first, _] = values;
        Ok(first)
    })
}

pub(crate) fn contents(document: &ConfigDocument) -> State {
    let value = |name: &'static str| {
        let key = name.parse().ok()?;
        document.contains(key).then(|| (name, read(document, key)))
    };
    KEYS.into_iter().filter_map(value).collect()
}

fn parse(state: &State) -> Result<ConfigDocument, Error> {
    let mut document = ConfigDocument::new();
    for (key, value) in state {
        document.set(key.parse::<ConfigKey>()?, value.as_str());
    }
    Ok(document)
}
