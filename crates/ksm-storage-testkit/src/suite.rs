use crate::{Case, Failure, Fixture, SystemUnderTest, cases, handle::Core};
use std::sync::Arc;

/// Runs the case of this name, for the tests that the macro generates.
#[doc(hidden)]
#[track_caller]
#[expect(clippy::panic, reason = "that is how a test fails")]
pub fn check(name: &str, fixture: impl Fixture, core: impl Core + 'static) {
    let case = cases().into_iter().find(|case| case.name() == name);
    let result = match case {
        Some(case) => case.check(SystemUnderTest { fixture: Arc::new(fixture), core: Arc::new(core) }),
        None => Err(Failure::inconclusive(format!("there is no case {name}"))),
    };
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

/// The result of each case.
#[derive(Debug)]
pub struct Report(pub Vec<(Case, Result<(), Failure>)>);

impl Report {
    /// The cases that failed.
    pub fn failures(&self) -> impl Iterator<Item = (&Case, &Failure)> {
        self.0.iter().filter_map(|(case, result)| Some((case, result.as_ref().err()?)))
    }
}

/// Runs every case, one after another.
pub fn run_all(sut: &SystemUnderTest) -> Report {
    Report(cases().into_iter().map(|case| (case, case.check(sut.clone()))).collect())
}

/// Registers every case as a test of its own: `conformance_tests!(FIXTURE)`, where `FIXTURE` is an expression
/// that evaluates to a [`Fixture`](crate::Fixture).
///
/// The tests are generated in three modules: `on_async_core`, with all cases, `on_blocking_core`, with the cases of core,
/// and `with_delays`, with all cases on a backend that is slow at random. Cases that a later version of this crate adds
/// are registered without a change here.
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
