//! Backends and cores that are wrong on purpose, one fault each: the proof that the cases can fail.

mod backends;
mod cores;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{Case, Clause, Failure, FailureKind, Mode, Subject, cases};

pub use backends::BackendFault;
pub use cores::CoreFault;

/// How long a case may take on a broken subject.
const LIMIT: Duration = Duration::from_secs(10);
const WORKERS: usize = 16;

/// One way to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// In the backend.
    Backend(BackendFault),
    /// In core.
    Core(CoreFault),
}

impl Fault {
    /// Every fault.
    pub fn all() -> Vec<Self> {
        let backends = BackendFault::ALL.iter().copied().map(Self::Backend);
        backends.chain(CoreFault::ALL.iter().copied().map(Self::Core)).collect()
    }

    /// The clause that it breaks: a case of this clause must catch it.
    pub fn clause(self) -> Clause {
        match self {
            Self::Backend(fault) => fault.clause(),
            Self::Core(fault) => fault.clause(),
        }
    }

    /// What random programs must meet to find it, if it shows in what concurrent calls return.
    pub fn found_by(self) -> Option<Mode> {
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

    /// The subject, made wrong.
    pub fn plant(self, subject: &Subject) -> Subject {
        let mut subject = subject.clone();
        match self {
            Self::Backend(fault) => subject.fixture = Arc::new(fault.plant(subject.fixture)),
            Self::Core(fault) => subject.core = Arc::new(fault.plant(subject.core)),
        }
        subject
    }

    /// Runs every case against the subject made wrong, several at a time, and returns those that find it
    /// [wrong](FailureKind::Wrong): one that is not done in ten seconds proves nothing.
    ///
    /// The fault is caught if one of them is of its [`clause`](Self::clause).
    pub fn caught_by(self, subject: &Subject) -> Vec<(Case, Failure)> {
        let broken = self.plant(subject);
        let next = AtomicUsize::new(0);
        let cases = cases();
        let check = || {
            let mine = std::iter::from_fn(|| cases.get(next.fetch_add(1, Ordering::Relaxed)));
            mine.filter_map(|case| Some((*case, case.check_within(LIMIT, broken.clone()).err()?)))
                .filter(|(_, failure)| failure.kind() == FailureKind::Wrong)
                .collect::<Vec<_>>()
        };
        // Most of the time that a broken subject takes is spent waiting for what never comes.
        let mut caught: Vec<_> = thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(check)).collect();
            workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
        });
        caught.sort_by_key(|(case, _)| (case.clause() != self.clause(), case.name()));
        caught
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

/// Declares an enum of faults, with the clause that each breaks and what it does.
macro_rules! faults {
    ($(#[$doc:meta])* $name:ident { $($variant:ident $clause:ident $title:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $(#[doc = concat!("It ", $title, ".")] $variant,)*
        }

        impl $name {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The clause that it breaks.
            pub const fn clause(self) -> $crate::Clause {
                match self { $(Self::$variant => $crate::Clause::$clause,)* }
            }

            /// What it does.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}
use faults;
