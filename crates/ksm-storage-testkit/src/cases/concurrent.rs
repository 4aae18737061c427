use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use ksm_storage_core::{ConfigDocument, ConfigKey, Error, ErrorKind, ExposeSecret, Outcome};
use proptest::{
    strategy::Strategy,
    test_runner::{Config, TestCaseError, TestRunner},
};
use tokio::{runtime::Handle as Runtime, sync::Barrier};

use crate::{
    Change, Failure, Handle, Settings, Subject,
    case::{Checked, ensure},
    history::{Answer, Call, Event, State, Timeline, Verdict, judge},
    program::{KEYS, program, programs},
};

const PROGRAMS: u32 = 48;
const HISTORIES: u32 = 48;
const STEPS: usize = 200_000;

pub(super) async fn c06_a_change_is_applied_once(subject: Subject) -> Checked {
    let bench = subject.bench("{}").await?;
    for round in 0..5 {
        let seen = bench.handle.update(increment("url")).await?;
        let expected = if round == 0 { String::new() } else { round.to_string() };
        ensure!(seen == expected, "increment {round} saw {seen:?}, and not {expected:?}");
    }
    let count = bench.stored_value(ConfigKey::Url).await?;
    ensure!(count.as_deref() == Some("5"), "five increments made {count:?}");
    Ok(())
}

/// With real pauses and core's own limits: a busy store ends neither in lost updates nor in `Conflict`.
pub(super) async fn c06_increments_through_eight_handles_all_count(subject: Subject) -> Checked {
    const HANDLES: usize = 8;
    const TASKS: usize = 8;
    const INCREMENTS: usize = 100;
    let store = subject.fixture.fresh().await;
    store.write(Some("{}".into())).await;
    let mut tasks = Vec::new();
    for _ in 0..HANDLES {
        let settings = Settings { clock: None, deadline: Duration::from_secs(60), ..Settings::default() };
        let handle = subject.core.open(store.open().await, settings).await?;
        for _ in 0..TASKS {
            let handle = handle.another();
            tasks.push(tokio::spawn(async move {
                for _ in 0..INCREMENTS {
                    handle.update(increment("url")).await?;
                }
                Ok::<_, Error>(())
            }));
        }
    }
    for task in tasks {
        task.await.map_err(|error| error.to_string())??;
    }
    let expected = (HANDLES * TASKS * INCREMENTS).to_string();
    let handle = subject.core.open(store.open().await, Settings::default()).await?;
    let count = handle.get(ConfigKey::Url);
    ensure!(count.as_ref() == Some(&expected), "{expected} increments made {count:?}");
    Ok(())
}

pub(super) async fn c06_programs_match_a_plain_map(subject: Subject) -> Checked {
    property(PROGRAMS, program(20), move |program| {
        let subject = subject.clone();
        async move {
            let bench = subject.bench("{}").await?;
            let other = bench.elsewhere().await?;
            let mut state = State::new();
            for (index, call) in program.iter().enumerate() {
                // Two handles in turn: each call meets what the other handle has written.
                let handle = if index % 2 == 0 { &bench.handle } else { &other };
                let answer = make(&**handle, call).await?;
                let expected = call.apply(&mut state);
                ensure!(
                    answer == expected,
                    "call {index} ({call:?}) returned {answer:?}, and not {expected:?}"
                );
            }
            let stored = contents(&bench.stored().await?);
            ensure!(stored == state, "stored is {stored:?}, and not {state:?}");
            Ok(())
        }
    })
    .await
}

pub(super) async fn c06_histories_are_linearizable(subject: Subject) -> Checked {
    let overlaps = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&overlaps);
    property(HISTORIES, programs(6), move |programs| {
        let (subject, overlaps) = (subject.clone(), Arc::clone(&counter));
        async move {
            let events = record(&subject, programs).await?;
            overlaps.fetch_add(usize::from(overlap(&events)), Ordering::Relaxed);
            let verdict = judge(&State::new(), &events, STEPS);
            ensure!(verdict == Verdict::Linearizable, "{verdict:?}:\n{}", Timeline(&events));
            Ok(())
        }
    })
    .await?;
    let overlaps = overlaps.load(Ordering::Relaxed);
    ensure!(overlaps > 0, "no two calls overlapped in any history, so this shows nothing");
    Ok(())
}

/// Runs the programs at the same time, each on a handle of its own, and writes down what happened.
async fn record(subject: &Subject, programs: Vec<Vec<Call>>) -> Result<Vec<Event>, Failure> {
    let store = subject.fixture.fresh().await;
    store.write(Some("{}".into())).await;
    let time = Arc::new(AtomicU64::new(0));
    let barrier = Arc::new(Barrier::new(programs.len()));
    let mut clients = Vec::new();
    for (client, program) in programs.into_iter().enumerate() {
        // A clock of its own, and as many attempts as it takes: pauses cost nothing, so that contention is fierce.
        let settings = Settings { attempts: 100_000, deadline: Duration::MAX, ..Settings::default() };
        let handle = subject.core.open(store.open().await, settings).await?;
        let (time, barrier) = (Arc::clone(&time), Arc::clone(&barrier));
        clients.push(tokio::spawn(async move {
            barrier.wait().await;
            let mut events = Vec::new();
            for call in program {
                let invoked = time.fetch_add(1, Ordering::SeqCst);
                let returned = match make(&*handle, &call).await {
                    Ok(answer) => Some((time.fetch_add(1, Ordering::SeqCst), answer)),
                    Err(error) if error.outcome() == Outcome::Unknown => None,
                    Err(error) => return Err(Failure::from(error)),
                };
                events.push(Event { client, call, invoked, returned });
            }
            Ok(events)
        }));
    }
    let mut events = Vec::new();
    for client in clients {
        events.extend(client.await.map_err(|error| error.to_string())??);
    }
    Ok(events)
}

fn overlap(events: &[Event]) -> bool {
    events.iter().any(|one| {
        events.iter().any(|other| {
            one.client != other.client
                && one.invoked < other.invoked
                && one.returned.as_ref().is_none_or(|(at, _)| *at > other.invoked)
        })
    })
}

/// Makes the call on a handle.
async fn make(handle: &dyn Handle, call: &Call) -> Result<Answer, Error> {
    let value = |seen: String| Answer::Value((!seen.is_empty()).then_some(seen));
    Ok(match call {
        Call::Increment(key) => value(handle.update(increment(key)).await?),
        Call::Set(key, value) => {
            handle.set(key.parse()?, value).await?;
            Answer::Done
        }
        Call::Delete(key) => Answer::Found(handle.delete(key.parse()?).await?),
        Call::DeleteAll => {
            handle.delete_all().await?;
            Answer::Done
        }
        Call::Refuse(key) => {
            let seen = Arc::new(std::sync::Mutex::new(String::new()));
            let (key, slot) = (key.parse()?, Arc::clone(&seen));
            let refuse = move |document: &mut ConfigDocument| {
                *slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = read(document, key);
                document.set(key, "refused");
                Err(Error::refused("as every time"))
            };
            match handle.update(Box::new(refuse)).await {
                Err(error) if error.kind() == ErrorKind::Refused => {
                    value(seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone())
                }
                Err(error) => return Err(error),
                Ok(_) => return Err(Error::new(ErrorKind::Unexpected, "a refusal was taken for a success")),
            }
        }
        Call::Refresh => Answer::Document(contents(handle.refresh().await?.document())),
    })
}

fn read(document: &ConfigDocument, key: ConfigKey) -> String {
    document.get(key).map(|value| value.expose_secret().to_owned()).unwrap_or_default()
}

/// Adds one to the number under the key, and returns what it was.
fn increment(key: &str) -> Change {
    let key = key.parse::<ConfigKey>();
    Box::new(move |document| {
        let key = key.clone()?;
        let before = read(document, key);
        let count = before.parse::<u64>().unwrap_or(0);
        document.set(key, (count + 1).to_string());
        Ok(before)
    })
}

fn contents(document: &ConfigDocument) -> State {
    let value = |name: &'static str| {
        let key = name.parse().ok()?;
        document.contains(key).then(|| (name, read(document, key)))
    };
    KEYS.into_iter().filter_map(value).collect()
}

/// Checks the property for random inputs; a failure names the smallest input found that fails.
async fn property<S, F>(cases: u32, strategy: S, check: impl Fn(S::Value) -> F + Send + 'static) -> Checked
where
    S: Strategy + Send + 'static,
    F: Future<Output = Checked>,
{
    let runtime = Runtime::current();
    let run = move || {
        let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
        let result = TestRunner::new(config).run(&strategy, |input| {
            runtime.block_on(check(input)).map_err(|failure| TestCaseError::fail(failure.to_string()))
        });
        result.map_err(|error| Failure::from(error.to_string()))
    };
    tokio::task::spawn_blocking(run).await.map_err(|error| error.to_string())?
}
