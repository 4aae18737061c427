use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    Case, Clause, Failure, FailureKind, Fixture, Level, SystemUnderTest, Verdict, cases, handle::Core,
};

/// Runs the case with this name, for the tests that the macro generates.
#[doc(hidden)]
#[track_caller]
#[expect(clippy::panic, clippy::print_stdout, reason = "that is how a test fails, and how it reports")]
pub fn check(name: &str, fixture: impl Fixture, core: impl Core + 'static) {
    let case = cases().into_iter().find(|case| case.name() == name);
    let result = match &case {
        Some(case) => case.check(SystemUnderTest { fixture: Arc::new(fixture), core: Arc::new(core) }),
        None => Err(Failure::inconclusive(format!("there is no case {name}"))),
    };
    match result {
        Ok(Verdict::Passed) => {}
        // The test harness has no third result.
        Ok(Verdict::NotChecked(missing)) => println!("not checked: {missing}"),
        Err(failure) => {
            let rank = case.map_or((0, false, 0), |case| order(&case, failure.kind()));
            panic!("{failure}\nstart here: {}", foremost(&FAILED, rank, name));
        }
    }
}

/// The most important failure of this process, by rank.
type Foremost = Mutex<Option<(Rank, String)>>;
static FAILED: Foremost = Mutex::new(None);

/// Adds a failure, and returns the name of the case to examine first.
fn foremost(failed: &Foremost, rank: Rank, name: &str) -> String {
    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
    let first = failed.get_or_insert_with(|| (rank, name.to_owned()));
    if rank < first.0 {
        *first = (rank, name.to_owned());
    }
    first.1.clone()
}

/// The results of all cases.
///
/// `Display` prints a line for every case that failed or was not checked, and the case to start with.
#[derive(Debug)]
pub struct Report(pub Vec<(Case, Result<Verdict, Failure>)>);

impl Report {
    /// The cases that failed.
    pub fn failures(&self) -> impl Iterator<Item = (&Case, &Failure)> {
        self.0.iter().filter_map(|(case, result)| Some((case, result.as_ref().err()?)))
    }

    /// The cases that were not checked, with the reason.
    pub fn not_checked(&self) -> impl Iterator<Item = (&Case, &str)> {
        self.0.iter().filter_map(|(case, result)| match result {
            Ok(Verdict::NotChecked(reason)) => Some((case, reason.as_str())),
            _ => None,
        })
    }

    /// The failure to examine first, since others may follow from it.
    pub fn start_here(&self) -> Option<(&Case, &Failure)> {
        self.failures().min_by_key(|(case, failure)| order(case, failure.kind()))
    }
}

/// The lowest rank is examined first.
type Rank = (u8, bool, usize);

/// The fixture comes before everything; a backend's own faults before their consequences in core; loading before
/// storing, and both before leaks; a failure before a hang, which has its own case.
fn order(case: &Case, kind: FailureKind) -> Rank {
    const CLAUSES: [Clause; 15] = {
        use Clause::{C1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, C13, C14, C15};
        [C1, C12, C9, C3, C6, C7, C15, C14, C4, C13, C2, C5, C8, C10, C11]
    };
    let kind = match kind {
        FailureKind::Fixture => 0,
        FailureKind::Wrong => 1,
        FailureKind::Hung => 2,
        _ => 3,
    };
    let clause = CLAUSES.iter().position(|clause| *clause == case.clause());
    (kind, case.level() == Level::Core, clause.unwrap_or(CLAUSES.len()))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (case, reason) in self.not_checked() {
            writeln!(f, "not checked: {}: {reason}", case.name())?;
        }
        for (case, failure) in self.failures() {
            writeln!(f, "failed: {}: {failure}", case.name())?;
        }
        let (failed, not_checked) = (self.failures().count(), self.not_checked().count());
        let passed = self.0.len() - failed - not_checked;
        write!(f, "{passed} passed, {failed} failed, {not_checked} not checked")?;
        match self.start_here() {
            Some((_, failure)) => write!(f, "\nstart here: {failure}"),
            None => Ok(()),
        }
    }
}

/// Runs all cases, one after another. If the fixture is faulty, the first case reports it and the others are skipped.
pub fn run_all(sut: &SystemUnderTest) -> Report {
    let mut results = Vec::new();
    for case in cases() {
        let result = case.check(sut.clone());
        let faulty = matches!(&result, Err(failure) if failure.kind() == FailureKind::Fixture);
        results.push((case, result));
        if faulty {
            break;
        }
    }
    Report(results)
}

/// Registers every case as a separate test: `conformance_tests!(FIXTURE)`, where `FIXTURE` is an expression that
/// evaluates to a [`Fixture`](crate::Fixture).
///
/// The tests are generated in four modules: `on_async_core` with all cases, `on_blocking_core` with the cases of core,
/// `with_delays` with all cases on a backend with random delays, and `under_conditions` with the cases that make the
/// store fail. A failing test ends with the name of the test to examine first. Cases added in later versions of this
/// crate are registered automatically.
#[macro_export]
macro_rules! conformance_tests {
    ($fixture:expr) => {
        mod on_async_core {
            #[allow(unused_imports)]
            use super::*;
            $crate::backend_cases!($crate::case_tests, ($fixture, $crate::internal::AsyncCore));
            $crate::core_cases!($crate::case_tests, ($fixture, $crate::internal::AsyncCore));
        }
        mod on_blocking_core {
            #[allow(unused_imports)]
            use super::*;
            $crate::core_cases!($crate::case_tests, ($fixture, $crate::internal::BlockingCore));
        }
        mod with_delays {
            #[allow(unused_imports)]
            use super::*;
            $crate::backend_cases!(
                $crate::case_tests,
                ($crate::Delayed::new($fixture), $crate::internal::AsyncCore)
            );
            $crate::core_cases!(
                $crate::case_tests,
                ($crate::Delayed::new($fixture), $crate::internal::AsyncCore)
            );
        }
        mod under_conditions {
            #[allow(unused_imports)]
            use super::*;
            $crate::condition_cases!($crate::case_tests, ($fixture, $crate::internal::AsyncCore));
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
            $crate::internal::check(stringify!($name), $fixture, $core);
        }
    };
}

#[cfg(test)]
#[path = "suite_tests.rs"]
mod tests;
