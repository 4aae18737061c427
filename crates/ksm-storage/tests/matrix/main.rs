//! The conformance suite on all backends that the enabled features provide: `cargo xtask conformance`, or
//!
//! ```text
//! cargo test -p ksm-storage --no-default-features --features file --test matrix -- file::c06
//! ```
//!
//! Tests are called `BACKEND::CASE`. In `BACKEND::blocking` and `BACKEND::delayed`, the case runs through the blocking
//! handle or on a backend with random delays. The AWS backends need the features `aws` and `testing`.
//!
//! Environment variables select what runs:
//! - `KSM_CONFORMANCE_BROKEN=1`: faulty implementations, each of which must fail a case of the clause that it violates.
//! - `KSM_CONFORMANCE_HISTORIES=N`: about N random histories in total, on the backends that are fast enough.
//! - `KSM_CONFORMANCE_REQUIRE_ALL=1`: emulators that cannot be installed count as failed instead of NOT RUN.
#![allow(missing_docs, clippy::print_stdout, reason = "a test harness that ends with a table")]

#[cfg(all(feature = "testing", feature = "aws-minimal"))]
mod aws;
mod backends;
mod contract;
mod faulty;
mod histories;
mod table;

use std::{env, num::NonZero, process::ExitCode, sync::Arc, thread::available_parallelism};

use backends::Backend;
use ksm_storage_testkit::{self as kit, Case, Delayed, Level, SystemUnderTest, cases};
use libtest_mimic::{Arguments, Completion, Trial};
use table::{Table, Verdict};

fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    // Most of the time, a case waits.
    let processors = available_parallelism().map_or(2, NonZero::get);
    args.test_threads.get_or_insert(2 * processors);
    let backends = backends::all();
    if env::var_os("KSM_CONFORMANCE_BROKEN").is_some() {
        return faulty::run(&args, &backends);
    }
    match env::var("KSM_CONFORMANCE_HISTORIES").map(|number| number.parse()) {
        Err(_) => run(&args, &backends),
        Ok(Ok(number)) => histories::run(&args, &backends, number),
        Ok(Err(error)) => {
            println!("error: invalid KSM_CONFORMANCE_HISTORIES: {error}");
            ExitCode::from(2)
        }
    }
}

/// The kinds of handle and backend on which a case runs.
#[derive(Clone, Copy)]
enum Variant {
    Plain,
    Blocking,
    Delayed,
}

impl Variant {
    const ALL: [Self; 3] = [Self::Plain, Self::Blocking, Self::Delayed];

    fn prefix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Blocking => "blocking::",
            Self::Delayed => "delayed::",
        }
    }

    /// Cases at the backend level are independent of the handle.
    fn includes(self, case: Case) -> bool {
        !matches!((self, case.level()), (Self::Blocking, Level::Backend))
    }

    fn of(self, backend: &Backend) -> Result<SystemUnderTest, String> {
        let fixture = backend.fixture()?;
        Ok(match self {
            Self::Plain => SystemUnderTest::new(fixture),
            Self::Blocking => SystemUnderTest::blocking(fixture),
            Self::Delayed => SystemUnderTest::new(Delayed::new(fixture)),
        })
    }
}

fn run(args: &Arguments, backends: &[Arc<Backend>]) -> ExitCode {
    let table = Arc::<Table>::default();
    let mut trials = contract::trials();
    // Neighbouring tests run concurrently. With different backends they do not wait for the same server.
    for variant in Variant::ALL {
        for case in cases().into_iter().filter(|case| variant.includes(*case)) {
            trials.extend(backends.iter().map(|backend| trial(backend, variant, case, &table)));
        }
    }
    let conclusion = libtest_mimic::run(args, trials);
    table.print(backends);
    conclusion.exit_code()
}

fn trial(backend: &Arc<Backend>, variant: Variant, case: Case, table: &Arc<Table>) -> Trial {
    let name = format!("{}::{}{}", backend.name, variant.prefix(), case.name());
    let (backend, table) = (Arc::clone(backend), Arc::clone(table));
    Trial::ignorable_test(name, move || {
        let add = |verdict| table.add(backend.name, case.clause(), verdict);
        if let Some(reason) = backend.excluded(case) {
            add(Verdict::LeftOut);
            return Ok(Completion::ignored_with(format!("excluded: {reason}")));
        }
        let sut = match variant.of(&backend) {
            Ok(sut) => sut,
            Err(missing) => {
                add(Verdict::LeftOut);
                return backend.not_run(&missing);
            }
        };
        match case.check(sut) {
            Ok(kit::Verdict::NotChecked(missing)) => {
                add(Verdict::LeftOut);
                Ok(Completion::ignored_with(format!("not checked: {missing}")))
            }
            Ok(_) => {
                add(Verdict::Passed);
                Ok(Completion::Completed)
            }
            Err(failure) => {
                add(Verdict::Failed);
                table.add_failure(backend.name, case, failure.clone());
                Err(failure.into())
            }
        }
    })
}
