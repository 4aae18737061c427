use std::{
    fmt,
    pin::Pin,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use ksm_storage_core::{ConfigDocument, ConfigKey, ErrorKind, Outcome, StorageBackend, Writes};

use crate::{
    Clause, Failure, FailureKind, SystemUnderTest, Verdict,
    failure::{Checked, ensure},
    handle::Settings,
    self_check,
};

/// Time limit of a case. A longer case counts as hung.
const LIMIT: Duration = Duration::from_mins(3);

/// The level whose guarantee a case checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Level {
    /// The backend's guarantee: the case calls it directly.
    Backend,
    /// Core's guarantee, over this backend.
    Core,
}

type Run = fn(SystemUnderTest) -> Pin<Box<dyn Future<Output = Checked> + Send>>;

/// A check of one clause.
#[derive(Clone, Copy)]
pub struct Case {
    pub(crate) name: &'static str,
    pub(crate) clause: Clause,
    pub(crate) level: Level,
    /// True if the case needs a backend that writes.
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

    /// The clause that the case checks.
    pub fn clause(&self) -> Clause {
        self.clause
    }

    /// The level whose guarantee the case checks.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Runs the case on its own thread and runtime, for at most three minutes.
    ///
    /// For a backend that cannot write safely, a case that writes checks instead that every write is refused.
    ///
    /// # Errors
    /// The failure, prefixed with the clause and the name of the case. Panics and hangs are failures too.
    pub fn check(&self, sut: SystemUnderTest) -> Result<Verdict, Failure> {
        self.check_within(LIMIT, sut)
    }

    #[doc(hidden)]
    pub fn check_within(&self, limit: Duration, sut: SystemUnderTest) -> Result<Verdict, Failure> {
        let Self { run, writes, .. } = *self;
        let (done, result) = mpsc::channel();
        let work = move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let checked = match runtime {
                Ok(runtime) => {
                    let checked = runtime.block_on(async {
                        // Spawned, so that the case may use all threads of the runtime.
                        let case = async move {
                            self_check::check(&*sut.fixture).await?;
                            if writes && refuses_writes(&sut).await {
                                refusal(sut).await
                            } else {
                                run(sut).await
                            }
                        };
                        tokio::spawn(case).await.unwrap_or_else(|error| Err(panicked(error)))
                    });
                    // A broken backend may block a worker forever.
                    runtime.shutdown_background();
                    checked
                }
                Err(error) => Err(Failure::inconclusive(format!("no runtime: {error}"))),
            };
            // After the time limit, nobody is receiving.
            let _ = done.send(checked);
        };
        let result = match thread::Builder::new().name(self.name.into()).spawn(work) {
            Ok(_) => result.recv_timeout(limit).unwrap_or_else(|error| {
                Err(match error {
                    RecvTimeoutError::Timeout => {
                        Failure::new(FailureKind::Hung, format!("it has not ended after {limit:?}"))
                    }
                    RecvTimeoutError::Disconnected => {
                        Failure::inconclusive("the thread that runs it panicked")
                    }
                })
            }),
            Err(error) => Err(Failure::inconclusive(format!("no thread: {error}"))),
        };
        match result {
            Ok(()) => Ok(Verdict::Passed),
            Err(failure) if failure.kind() == FailureKind::NotChecked => {
                Ok(Verdict::NotChecked(failure.to_string()))
            }
            Err(failure) => Err(Failure::new(failure.kind(), self.explain(&failure))),
        }
    }

    /// The failure with its clause and, if the system is wrong, the usual cause.
    fn explain(&self, failure: &Failure) -> String {
        let (clause, name) = (self.clause, self.name);
        if failure.kind() == FailureKind::Fixture {
            return format!("the fixture is faulty, so that {name} proves nothing: {failure}");
        }
        let message = format!("{clause} ({}): {name}: {failure}", clause.title());
        match failure.kind() {
            FailureKind::Wrong | FailureKind::Hung => {
                format!("{message}\nusual cause: {}", clause.usual_cause())
            }
            _ => message,
        }
    }
}

fn panicked(error: tokio::task::JoinError) -> Failure {
    let Ok(panic) = error.try_into_panic() else { return "it was cancelled".into() };
    let message =
        panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    format!("it panicked: {}", message.unwrap_or("without a message")).into()
}

async fn refuses_writes(sut: &SystemUnderTest) -> bool {
    let backend = sut.fixture.fresh().await.open().await;
    matches!(backend.capabilities().writes, Writes::ReadOnly | Writes::Unconditional)
}

/// Checks that every write is refused before any I/O, with the right kind, and stores nothing.
async fn refusal(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench(r#"{"url":"kept"}"#).await?;
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
    let store = sut.fixture.fresh().await;
    let created = sut.core.open_or_create(store.open().await, Settings::default()).await;
    ensure!(created.is_err_and(|error| error.kind() == kind), "open_or_create was not refused");
    ensure!(store.read().await.is_none(), "open_or_create stored something all the same");
    Ok(())
}
