//! Backends and cores with one fault each, which prove that the cases can fail.

mod backends;
mod cores;

use std::{
    fmt::{self, Write},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use backends::BackendFault;
use cores::CoreFault;
use ksm_storage_testkit::{Case, Clause, FailureKind, Level, SystemUnderTest, cases, internal::Mode};
use libtest_mimic::{Arguments, Trial};

use crate::{backends::Backend, histories};

/// Rows of the report, with their clauses.
type Rows = Mutex<Vec<(Clause, String)>>;

/// Time limit of a case on a faulty implementation.
const LIMIT: Duration = Duration::from_secs(10);

/// Checks every faulty implementation on the first backend. A case of the violated clause must catch it, and so must
/// random programs if the fault shows in the results of concurrent calls.
pub(crate) fn run(args: &Arguments, all: &[Arc<Backend>]) -> ExitCode {
    let rows = Arc::<Rows>::default();
    let mut trials = Vec::new();
    // One backend is enough, since faults are injected around it.
    for backend in all.iter().take(1) {
        for fault in Fault::all() {
            trials.extend(fault.trials(backend, &rows));
        }
    }
    // Panics are expected here.
    std::panic::set_hook(Box::new(|_| ()));
    let conclusion = libtest_mimic::run(args, trials);
    let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
    rows.sort();
    if !rows.is_empty() {
        println!(
            "| clause | faulty implementation | caught by |\n|---|---|---|\n{}",
            rows.iter().map(|(_, row)| &**row).collect::<String>()
        );
    }
    conclusion.exit_code()
}

/// A fault to inject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// In the backend.
    Backend(BackendFault),
    /// In core.
    Core(CoreFault),
}

impl Fault {
    /// Every fault.
    pub(crate) fn all() -> Vec<Self> {
        let backends = BackendFault::ALL.iter().copied().map(Self::Backend);
        backends.chain(CoreFault::ALL.iter().copied().map(Self::Core)).collect()
    }

    /// The level of the cases that must catch it.
    pub(crate) fn level(self) -> Level {
        match self {
            Self::Backend(_) => Level::Backend,
            Self::Core(_) => Level::Core,
        }
    }

    /// The clause that it violates.
    pub(crate) fn clause(self) -> Clause {
        match self {
            Self::Backend(fault) => fault.clause(),
            Self::Core(fault) => fault.clause(),
        }
    }

    /// The mode of the random programs that find the fault, if it shows in the results of concurrent calls.
    fn found_by(self) -> Option<Mode> {
        use BackendFault as B;
        use CoreFault as C;
        match self {
            Self::Backend(
                B::AcknowledgesUnstored
                | B::LosesEverySecond
                | B::LoadsLag
                | B::ConditionDropped
                | B::EqualPayloadsWin
                | B::CheckThenStore,
            )
            | Self::Core(
                C::RefreshJoins
                | C::KeepsHalf
                | C::SkipsTheLoad
                | C::AppliesTwice
                | C::RetriesSave
                | C::ResurrectsKeys
                | C::NoOpFromSnapshot,
            ) => Some(Mode::Plain),
            Self::Backend(B::RefusesApplied) | Self::Core(C::SwallowsErrors | C::RetriesUnknown) => {
                Some(Mode::Faults)
            }
            Self::Backend(B::ForeignOverlooked) => Some(Mode::Foreign),
            _ => None,
        }
    }

    /// Injects the fault into the system.
    fn inject(self, sut: &SystemUnderTest) -> SystemUnderTest {
        let mut sut = sut.clone();
        match self {
            Self::Backend(fault) => sut.fixture = Arc::new(fault.inject(sut.fixture)),
            Self::Core(fault) => sut.core = Arc::new(fault.inject(sut.core)),
        }
        sut
    }

    /// Runs the cases of the violated clause and of the same level concurrently, and returns the first that finds the
    /// system [wrong](FailureKind::Wrong). A case that exceeds its time limit proves nothing.
    fn caught_by(self, sut: &SystemUnderTest) -> Option<Case> {
        let faulty = self.inject(sut);
        let (sender, caught) = mpsc::channel();
        for case in
            cases().into_iter().filter(|case| (case.clause(), case.level()) == (self.clause(), self.level()))
        {
            let (faulty, sender) = (faulty.clone(), sender.clone());
            // Detached: it ends at its time limit, and its result no longer matters once another case has caught the
            // fault.
            thread::spawn(move || {
                let result = case.check_within(LIMIT, faulty);
                if result.is_err_and(|failure| failure.kind() == FailureKind::Wrong) {
                    let _ = sender.send(case);
                }
            });
        }
        drop(sender);
        caught.recv().ok()
    }

    /// The tests of this fault: by cases and, if they find it, by random programs.
    fn trials(self, backend: &Arc<Backend>, rows: &Arc<Rows>) -> Vec<Trial> {
        let (clause, kind) = (
            self.clause(),
            match self {
                Self::Backend(fault) => format!("backend::{fault:?}"),
                Self::Core(fault) => format!("core::{fault:?}"),
            },
        );
        let name = format!("{}::{clause}::{kind}", backend.name);
        let add = {
            let rows = Arc::clone(rows);
            move |by: &str| {
                let mut row = String::new();
                let _ = writeln!(row, "| {clause} | {self} | {by} |");
                rows.lock().unwrap_or_else(PoisonError::into_inner).push((clause, row));
            }
        };
        let (by_cases, of_cases) = (add.clone(), Arc::clone(backend));
        let mut trials = vec![Trial::test(&name, move || {
            let sut = SystemUnderTest::new(of_cases.fixture()?);
            let case = self.caught_by(&sut).ok_or("no case of its clause catches it")?;
            by_cases(case.name());
            Ok(())
        })];
        if let Some(mode) = self.found_by() {
            let backend = Arc::clone(backend);
            trials.push(Trial::test(format!("{name}::random_programs"), move || {
                let sut = SystemUnderTest::new(backend.fixture()?);
                histories::find(self.inject(&sut), mode)?;
                add(&format!("random programs, against: {mode}"));
                Ok(())
            }));
        }
        trials
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, title) = match self {
            Self::Backend(fault) => ("backend", fault.title()),
            Self::Core(fault) => ("core", fault.title()),
        };
        write!(f, "a {kind} that {title}")
    }
}

/// Declares an enum of faults, with the violated clause and the effect of each.
macro_rules! faults {
    ($(#[$doc:meta])* $name:ident { $($variant:ident $clause:ident $title:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum $name {
            $(#[doc = concat!("It ", $title, ".")] $variant,)*
        }

        impl $name {
            /// Every fault.
            pub(super) const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The violated clause.
            pub(super) const fn clause(self) -> ksm_storage_testkit::Clause {
                match self { $(Self::$variant => ksm_storage_testkit::Clause::$clause,)* }
            }

            /// The effect, as a continuation of "a backend that" or "a core that".
            pub(super) const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}
use faults;
