//! Core's own races, under a scheduler that tries many orders of its steps: `cargo xtask schedules`.
//!
//! [`primitives`] replaces what [`crate::sync`] has elsewhere. Each program in [`programs`] is run under some
//! thousand schedules, which are the same in every run, and has to hold in all of them; with the [`Fault`] injected
//! that it is there to find, it has to fail in one.
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

/// Schedules of either kind for each program.
const SCHEDULES: usize = 5_000;
const SEED: u64 = 1;
/// The number of steps that have to fall in one order for a schedule of the second kind to find the fault.
const DEPTH: usize = 3;
/// The environment variable with a schedule, as a failure prints it, that is to be run alone.
const REPLAY: &str = "SCHEDULE";

thread_local! {
    static INJECTED: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// A deliberate fault, in the tests of this module and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The caller's and the committer's decision about a change are a load and then a store.
    TornClaim,
    /// The committer finds the queue empty, and says that it ends only when the queue has been free meanwhile.
    LateHandOver,
    /// A load answers calls that were made after it began.
    LateJoin,
    /// A change can be read before it is stored.
    EarlyInstall,
    /// The snapshot is exchanged after the call was answered.
    LateSwap,
    /// A committer that is dropped leaves the queue as if it still ran.
    LeftRunning,
}

impl Fault {
    pub(crate) fn is_injected(self) -> bool {
        INJECTED.get() == Some(self)
    }
}

/// The program holds in every schedule.
fn holds(program: fn()) {
    if let Ok(schedule) = env::var(REPLAY) {
        return shuttle::replay(program, &schedule);
    }
    for scheduler in schedulers() {
        run(scheduler, FailurePersistence::Print, program);
    }
}

/// With this injected the program fails in a schedule of one kind or the other, and says `why`.
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
    config.failure_persistence = persistence;
    Runner::new(scheduler, config).run(program);
}

fn schedulers() -> [Box<dyn Scheduler + Send>; 2] {
    [
        Box::new(RandomScheduler::new_from_seed(SEED, SCHEDULES)),
        Box::new(PctScheduler::new_from_seed(SEED, DEPTH, SCHEDULES)),
    ]
}
