//! Runs random programs concurrently on one store, and checks their results.

pub(crate) mod program;
pub(crate) mod record;
mod witness;

use std::{
    env, fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ksm_storage_core::{Error, ErrorKind};
use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};
use tokio::runtime::Handle as Runtime;

use crate::{
    Failure, FailureKind, FaultRates, SystemUnderTest,
    failure::{Checked, ensure_shown},
    handle::Settings,
    history::{Event, State, Timeline, Verdict, check, minimize},
};

/// The kind of disturbance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// No disturbance apart from the other clients.
    Plain,
    /// The faults of a [`FaultyBackend`](crate::FaultyBackend).
    Faults,
    /// A foreign writer.
    Foreign,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Faults, Self::Foreign];

    fn rates(self) -> FaultRates {
        match self {
            Self::Faults => FaultRates::MANY,
            _ => FaultRates::NONE,
        }
    }

    /// Without faults, attempts are unlimited: pauses cost nothing in virtual time, so contention is fierce.
    fn settings(self) -> Settings {
        match self {
            Self::Faults => Settings::default(),
            _ => Settings { attempts: 100_000, deadline: Duration::MAX, ..Settings::default() },
        }
    }

    /// Returns true if a call may fail with this error without an effect.
    fn allows(self, error: &Error) -> bool {
        self == Self::Faults
            && matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Conflict)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Plain => "plain",
            Self::Faults => "faults",
            Self::Foreign => "foreign writer",
        })
    }
}

/// Totals over several histories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Number of histories.
    pub histories: usize,
    /// Histories that could not be decided within the step limit. They do not count as passed.
    pub inconclusive: usize,
    /// Histories that are not linearizable although the backend reported that it displaced, or may have displaced, a
    /// foreign write. The contract allows this only for cooperative writes.
    pub displaced: usize,
    /// Histories in which calls of different clients overlapped.
    pub overlapping: usize,
    /// Number of calls.
    pub calls: usize,
    /// Calls with an unknown outcome.
    pub unknown: usize,
    /// Faults injected.
    pub injected: usize,
}

impl std::ops::AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        self.histories += other.histories;
        self.inconclusive += other.inconclusive;
        self.displaced += other.displaced;
        self.overlapping += other.overlapping;
        self.calls += other.calls;
        self.unknown += other.unknown;
        self.injected += other.injected;
    }
}

/// The maximum number of calls of one client.
const CALLS: usize = 6;
/// The maximum number of documents that a foreign writer stores.
const FOREIGN: usize = 4;
const STEPS: usize = 200_000;
/// Given at least this many histories, calls must overlap in most of them; given fewer, in at least one.
const MANY: usize = 20;

/// Runs this many random programs, each on its own store, and checks that their results are linearizable.
///
/// The environment variable `KSM_TESTKIT_SEED` sets the seed, which is random by default. The seed determines the
/// programs, and which of a handle's loads and stores fail, but not how threads are scheduled.
///
/// Must be called within a Tokio runtime. Several worker threads make it a better test.
///
/// # Errors
/// A minimized history that is not linearizable, or another violation, with the seed. The result is
/// [inconclusive](FailureKind::Inconclusive) if calls overlapped in at most half of the histories, or if one in a
/// hundred could not be decided.
pub async fn check_histories(sut: &SystemUnderTest, mode: Mode, histories: u32) -> Result<Summary, Failure> {
    let summary = Arc::new(Mutex::new(Summary::default()));
    let sum = Arc::clone(&summary);
    let sut = sut.clone();
    let foreign = if mode == Mode::Foreign { FOREIGN } else { 0 };
    property(histories, program::program(CALLS, foreign), move |program| {
        let (sut, sum) = (sut.clone(), Arc::clone(&sum));
        async move {
            let recorded = record::record(&sut, mode, program).await?;
            let events = recorded.events;
            let verdict = check(&State::new(), &events, STEPS);
            {
                // Without a foreign writer, any lost write was ours.
                let excused = mode == Mode::Foreign && verdict == Verdict::Violation && recorded.displaced;
                *sum.lock().unwrap_or_else(PoisonError::into_inner) += Summary {
                    histories: 1,
                    inconclusive: usize::from(verdict == Verdict::Inconclusive),
                    displaced: usize::from(excused),
                    overlapping: usize::from(overlap(&events)),
                    calls: events.len(),
                    unknown: events.iter().filter(|event| event.returned.is_none()).count(),
                    injected: recorded.injected,
                };
                if excused {
                    return Ok(());
                }
            }
            if verdict == Verdict::Violation {
                let short = minimize(&State::new(), &events, STEPS);
                return Err(format!(
                    "no order of these calls explains what they returned:\n{}",
                    Timeline(&short)
                )
                .into());
            }
            Ok(())
        }
    })
    .await?;
    let summary = *summary.lock().unwrap_or_else(PoisonError::into_inner);
    let Summary { histories, inconclusive, overlapping, .. } = summary;
    ensure_shown!(
        overlapping * 2 > histories || (histories < MANY && overlapping > 0),
        "calls overlapped in only {overlapping} of {histories} histories, which proves nothing"
    );
    ensure_shown!(
        inconclusive * 100 < histories.max(100),
        "{inconclusive} of {histories} histories could not be decided"
    );
    Ok(summary)
}

/// True if calls of different clients overlapped. A call that did not return does not count: it may have ended at once.
fn overlap(events: &[Event]) -> bool {
    let call = |event: &Event| Some((event.client, event.invoked, event.returned.as_ref()?.0));
    let calls: Vec<_> = events.iter().filter_map(call).collect();
    calls.iter().any(|&(client, invoked, returned)| {
        calls.iter().any(|(other, at, _)| *other != client && (invoked..returned).contains(at))
    })
}

/// The name of the environment variable with the seed of random programs, a number.
const SEED: &str = "KSM_TESTKIT_SEED";

/// Checks the property for random inputs. A failure names the smallest failing input found, and the seed.
pub(crate) async fn property<S, F>(
    cases: u32,
    strategy: S,
    check: impl Fn(S::Value) -> F + Send + 'static,
) -> Checked
where
    S: Strategy + Send + 'static,
    F: Future<Output = Checked>,
{
    let seed = match env::var(SEED) {
        Ok(seed) => {
            seed.parse().map_err(|_| Failure::inconclusive(format!("{SEED} is {seed:?}, not a number")))?
        }
        Err(_) => fastrand::u64(..),
    };
    let runtime = Runtime::current();
    let run = move || {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
        let result = TestRunner::new_with_rng(config, random).run(&strategy, |input| {
            runtime.block_on(check(input)).map_err(|failure| TestCaseError::fail(failure.to_string()))
        });
        result.map_err(|error| {
            let kind = match error {
                TestError::Fail(..) => FailureKind::Wrong,
                TestError::Abort(_) => FailureKind::Inconclusive,
            };
            Failure::new(kind, format!("{error}\nto repeat the run: {SEED}={seed}"))
        })
    };
    tokio::task::spawn_blocking(run).await.map_err(|error| Failure::inconclusive(error.to_string()))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Answer, Call};

    #[test]
    fn only_calls_that_returned_overlap() {
        let event = |client, invoked, returned: Option<u64>| {
            let returned = returned.map(|at| (at, Answer::Done));
            Event { client, handle: client, call: Call::DeleteAll, invoked, returned }
        };
        assert!(overlap(&[event(0, 0, Some(2)), event(1, 1, Some(3))]));
        assert!(!overlap(&[event(0, 0, Some(1)), event(1, 2, Some(3))]));
        assert!(!overlap(&[event(0, 0, Some(2)), event(0, 1, Some(3))]), "one client");
        assert!(!overlap(&[event(0, 0, None), event(1, 1, Some(3))]));
        assert!(!overlap(&[event(0, 0, Some(2)), event(1, 1, None)]));
    }
}
