//! Tests of core's own races, under a scheduler that tries many interleavings: `cargo xtask schedules`.
//!
//! [`primitives`] replaces the primitives of [`crate::sync`]. Each program in [`programs`] runs under several thousand
//! schedules, which are the same in every run, and must hold in all of them. With its [`Fault`] injected, it must fail
//! in at least one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

pub(crate) mod primitives;
mod programs;
mod world;

use std::{
    cell::Cell,
    env,
    panic::{AssertUnwindSafe, catch_unwind},
};

use shuttle::{
    Config, FailurePersistence, Runner,
    scheduler::{PctScheduler, RandomScheduler, Scheduler},
};

/// Schedules per program and kind of scheduler.
const SCHEDULES: usize = 5_000;
const SEED: u64 = 1;
/// The number of ordering constraints that a schedule of the second kind may need to find the fault.
const DEPTH: usize = 3;
/// The environment variable that replays a single schedule, as printed by a failure.
const REPLAY: &str = "SCHEDULE";

thread_local! {
    static INJECTED: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// A deliberate fault, used only in the tests of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The caller and the committer each decide about a change by a load followed by a store.
    TornClaim,
    /// The committer finds the queue empty, but records that it has finished only after releasing the queue.
    LateHandOver,
    /// A load serves calls that were made after it began.
    LateJoin,
    /// A change can be read before it is stored.
    EarlyInstall,
    /// The snapshot is replaced after the call was answered.
    LateSwap,
    /// A dropped committer leaves the queue marked as running.
    LeftRunning,
}

impl Fault {
    pub(crate) fn is_injected(self) -> bool {
        INJECTED.get() == Some(self)
    }
}

/// Asserts that the program holds in every schedule.
fn holds(program: fn()) {
    if let Ok(schedule) = env::var(REPLAY) {
        return shuttle::replay(program, &schedule);
    }
    for scheduler in schedulers() {
        run(scheduler, FailurePersistence::Print, program);
    }
}

/// Asserts that the program fails with `why` in some schedule while `fault` is injected.
fn finds(fault: Fault, why: &str, program: fn()) {
    let fails = |scheduler| {
        let run = AssertUnwindSafe(|| run(scheduler, FailurePersistence::None, program));
        let panic = catch_unwind(run).err()?;
        let text = panic.downcast_ref::<&str>().copied();
        text.or(panic.downcast_ref::<String>().map(String::as_str)).map(str::to_owned)
    };
    INJECTED.set(Some(fault));
    let failures = schedulers().map(fails);
    INJECTED.set(None);
    let found = failures.iter().flatten().any(|failure| failure.contains(why));
    assert!(found, "{fault:?} was not found, but {failures:?}");
}

fn run(scheduler: Box<dyn Scheduler + Send>, persistence: FailurePersistence, program: fn()) {
    let mut config = Config::new();
    // Unoptimized futures of an opening are larger than the default of 32 KiB.
    config.stack_size = 1 << 18;
    config.failure_persistence = persistence;
    Runner::new(scheduler, config).run(program);
}

fn schedulers() -> [Box<dyn Scheduler + Send>; 2] {
    [
        Box::new(RandomScheduler::new_from_seed(SEED, SCHEDULES)),
        Box::new(PctScheduler::new_from_seed(SEED, DEPTH, SCHEDULES)),
    ]
}
