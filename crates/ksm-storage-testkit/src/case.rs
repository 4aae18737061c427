use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use ksm_storage_core::{ConfigDocument, ConfigKey, Error, ErrorKind, Outcome, StorageBackend, Writes};

use crate::{Clause, Core, Fixture, Settings, Subject};

/// How long a case may take. One that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(180);

/// Why a case failed.
#[derive(Clone, Debug)]
pub struct Failure {
    kind: FailureKind,
    message: String,
}

/// What a failure says of the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// It is wrong.
    Wrong,
    /// It took longer than a case may: it hangs, or is slow.
    Hung,
    /// Nothing: what would show something did not happen.
    Inconclusive,
}

impl Failure {
    /// What it says of the subject.
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn inconclusive(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Inconclusive, message)
    }
}

/// What a case returns.
pub(crate) type Checked = Result<(), Failure>;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        format!("unexpected error: {error}").into()
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::new(FailureKind::Wrong, message)
    }
}

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}

/// Fails the case with this message unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::Failure::from(format!($($message)+)));
        }
    };
}
pub(crate) use ensure;

/// As `ensure!`, for what must have happened if the case is to show anything.
macro_rules! ensure_shown {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::Failure::inconclusive(format!($($message)+)));
        }
    };
}
pub(crate) use ensure_shown;

/// Whose promise a case checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Level {
    /// The backend's: called directly.
    Backend,
    /// Core's, over this backend.
    Core,
}

type Run = fn(Subject) -> Pin<Box<dyn Future<Output = Checked> + Send>>;

/// One check of one clause.
#[derive(Clone, Copy)]
pub struct Case {
    pub(crate) name: &'static str,
    pub(crate) clause: Clause,
    pub(crate) level: Level,
    /// Whether it needs a backend that writes.
    pub(crate) writes: bool,
    pub(crate) run: Run,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Case({})", self.name)
    }
}

impl Case {
    /// The name, which begins with the clause.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The clause that it checks.
    pub fn clause(&self) -> Clause {
        self.clause
    }

    /// Whose promise it checks.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Runs the case on a thread and runtime of its own, for three minutes at the most.
    ///
    /// On a backend that cannot write safely, a case that writes checks instead that every write is refused.
    ///
    /// # Errors
    /// What is wrong, with the clause and the case's name in front. A panic and a hang are failures too.
    pub fn check(&self, subject: Subject) -> Result<(), Failure> {
        self.check_within(LIMIT, subject)
    }

    pub(crate) fn check_within(&self, limit: Duration, subject: Subject) -> Result<(), Failure> {
        let Self { run, writes, .. } = *self;
        let (done, result) = mpsc::channel();
        let work = move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let checked = match runtime {
                Ok(runtime) => {
                    let checked = runtime.block_on(async {
                        // Spawned, so that it may use all of the runtime's threads.
                        let case = async move {
                            if writes && refuses_writes(&subject).await {
                                refusal(subject).await
                            } else {
                                run(subject).await
                            }
                        };
                        tokio::spawn(case).await.unwrap_or_else(|error| Err(panicked(error)))
                    });
                    // A broken backend may block a worker for ever.
                    runtime.shutdown_background();
                    checked
                }
                Err(error) => Err(Failure::inconclusive(format!("no runtime: {error}"))),
            };
            // Nobody listens any more after the limit.
            let _ = done.send(checked);
        };
        let result = match thread::Builder::new().name(self.name.into()).spawn(work) {
            Ok(_) => result.recv_timeout(limit).unwrap_or_else(|error| {
                Err(match error {
                    RecvTimeoutError::Timeout => {
                        Failure::new(FailureKind::Hung, format!("it has not ended after {limit:?}"))
                    }
                    RecvTimeoutError::Disconnected => Failure::inconclusive("what runs it panicked"),
                })
            }),
            Err(error) => Err(Failure::inconclusive(format!("no thread: {error}"))),
        };
        result.map_err(|Failure { kind, message }| {
            let message = format!("{} ({}): {}: {message}", self.clause, self.clause.title(), self.name);
            Failure { kind, message }
        })
    }
}

fn panicked(error: tokio::task::JoinError) -> Failure {
    let Ok(panic) = error.try_into_panic() else { return "it was cancelled".into() };
    let message =
        panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    format!("it panicked: {}", message.unwrap_or("without a message")).into()
}

async fn refuses_writes(subject: &Subject) -> bool {
    let backend = subject.fixture.fresh().await.open().await;
    matches!(backend.capabilities().writes, Writes::ReadOnly | Writes::Unconditional)
}

/// Every write is refused before any I/O, with the kind that fits, and stores nothing.
async fn refusal(subject: Subject) -> Checked {
    let bench = subject.bench(r#"{"url":"kept"}"#).await?;
    let kind = match bench.probe.capabilities().writes {
        Writes::ReadOnly => ErrorKind::ReadOnly,
        _ => ErrorKind::Unsupported,
    };
    let before = bench.probe.calls();
    let (handle, base) = (&bench.handle, bench.handle.snapshot());
    let results = [
        ("set", handle.set(ConfigKey::Url, "new").await),
        ("delete", handle.delete(ConfigKey::Url).await.map(drop)),
        ("delete_all", handle.delete_all().await),
        ("update", handle.update(Box::new(|_| Ok(String::new()))).await.map(drop)),
        ("save", handle.save(&base, ConfigDocument::new()).await),
        ("replace", handle.replace(ConfigDocument::new()).await),
    ];
    for (name, result) in results {
        let error = result.err().ok_or_else(|| format!("{name} was not refused"))?;
        ensure!(error.kind() == kind, "{name} was refused as {:?}, not as {kind:?}", error.kind());
        ensure!(error.outcome() == Outcome::NotApplied, "{name} claims the outcome {:?}", error.outcome());
    }
    ensure!(bench.probe.calls() == before, "a refused write made a call");
    let kept = bench.stored_value(ConfigKey::Url).await?;
    ensure!(kept.as_deref() == Some("kept"), "a refused write changed what is stored");
    let store = subject.fixture.fresh().await;
    let created = subject.core.open_or_create(store.open().await, Settings::default()).await;
    ensure!(created.is_err_and(|error| error.kind() == kind), "open_or_create was not refused");
    ensure!(store.read().await.is_none(), "open_or_create stored something all the same");
    Ok(())
}

/// Every case of the suite.
pub fn cases() -> Vec<Case> {
    crate::cases::all()
}

/// The case of this name, for the tests that the macro makes.
#[doc(hidden)]
#[track_caller]
#[expect(clippy::panic, reason = "that is how a test fails")]
pub fn check(name: &str, fixture: impl Fixture, core: impl Core + 'static) {
    let case = cases().into_iter().find(|case| case.name == name);
    let result = match case {
        Some(case) => case.check(Subject { fixture: Arc::new(fixture), core: Arc::new(core) }),
        None => Err(Failure::inconclusive(format!("there is no case {name}"))),
    };
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

/// What became of each case.
#[derive(Debug)]
pub struct Report(pub Vec<(Case, Result<(), Failure>)>);

impl Report {
    /// The cases that failed.
    pub fn failures(&self) -> impl Iterator<Item = (&Case, &Failure)> {
        self.0.iter().filter_map(|(case, result)| Some((case, result.as_ref().err()?)))
    }
}

/// Runs every case, one after another.
pub fn run_all(subject: &Subject) -> Report {
    Report(cases().into_iter().map(|case| (case, case.check(subject.clone()))).collect())
}

/// Registers every case as a test of its own: `conformance_tests!(FIXTURE)`, where `FIXTURE` is an expression that makes
/// a [`Fixture`](crate::Fixture).
///
/// The tests stand in three modules: `on_async_core`, with all cases, `on_blocking_core`, with those of core clauses, and
/// `with_delays`, with all cases on a backend that is slow at random. A case that the kit gains is registered without a
/// change here.
#[macro_export]
macro_rules! conformance_tests {
    ($fixture:expr) => {
        mod on_async_core {
            #[allow(unused_imports)]
            use super::*;
            $crate::backend_cases!($crate::case_tests, ($fixture, $crate::AsyncCore));
            $crate::core_cases!($crate::case_tests, ($fixture, $crate::AsyncCore));
        }
        mod on_blocking_core {
            #[allow(unused_imports)]
            use super::*;
            $crate::core_cases!($crate::case_tests, ($fixture, $crate::BlockingCore));
        }
        mod with_delays {
            #[allow(unused_imports)]
            use super::*;
            $crate::backend_cases!($crate::case_tests, ($crate::Delayed::new($fixture), $crate::AsyncCore));
            $crate::core_cases!($crate::case_tests, ($crate::Delayed::new($fixture), $crate::AsyncCore));
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! case_tests {
    (($fixture:expr, $core:expr) $($clause:ident $kind:ident $module:ident::$name:ident,)*) => {
        $crate::case_tests!(@each ($fixture, $core) $($name)*);
    };
    (@each $context:tt $($name:ident)*) => {
        $($crate::case_tests!(@one $context $name);)*
    };
    (@one ($fixture:expr, $core:expr) $name:ident) => {
        #[test]
        fn $name() {
            $crate::check(stringify!($name), $fixture, $core);
        }
    };
}
