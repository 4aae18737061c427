//! The conditional write of `src/backend.rs`, checked in every order of its steps.
//!
//! A world is one secret and two or three writers that each add one to a counter; a [`Budget`] says what may befall them.
//! Every reachable state is looked at ([`model`] has the promises). Time is abstract: the two seconds after which a taken
//! slot counts as burnt pass only when every stager that holds it has moved, or has seen that it was slow, which is the
//! protocol's one assumption.
#![allow(missing_docs, clippy::print_stdout, clippy::trivially_copy_pass_by_ref)]

mod fault;
mod model;
mod protocol;
mod service;
mod world;
mod writer;

use fault::Fault;
use ksm_storage_aws::Concurrency::{self, Optimistic, Strict};
use model::{BURNT, CONFLICT, DISPLACED, Protocol, UNKNOWN};
use stateright::{Checker, DiscoveryClassification::Counterexample, HasDiscoveries, Model};
use world::Budget;

/// Nothing but the writers themselves.
const CALM: Budget = Budget { lost: 0, late: 0, stale: 0, slow: 0, crash: 0, foreign: 0, rollback: 0 };

const PAIRS: [&[Concurrency]; 3] = [&[Optimistic; 2], &[Strict; 2], &[Optimistic, Strict]];
const TRIPLES: [&[Concurrency]; 4] =
    [&[Optimistic; 3], &[Strict; 3], &[Optimistic, Strict, Strict], &[Optimistic, Optimistic, Strict]];

/// Explores everything. Returns the promises that are not kept, and what was reached.
fn explore(
    writers: &[Concurrency],
    value: bool,
    budget: Budget,
    conflicts: u8,
    fault: Fault,
) -> (Vec<String>, Vec<&'static str>) {
    let protocol = Protocol { writers: writers.to_vec(), value, budget, conflicts, fault };
    let checker = protocol.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let (broken, reached): (Vec<_>, Vec<_>) = checker
        .discoveries()
        .into_iter()
        .partition(|(name, _)| matches!(checker.discovery_classification(name), Counterexample));
    assert!(!broken.is_empty() || checker.is_done(), "not everything was looked at");
    let told = |(name, path): (_, stateright::Path<_, _>)| format!("{name}: {:?}", path.into_actions());
    (broken.into_iter().map(told).collect(), reached.into_iter().map(|(name, _)| name).collect())
}

#[track_caller]
fn assert_sound(writers: &[Concurrency], value: bool, budget: Budget, conflicts: u8, wanted: &[&str]) {
    let (broken, reached) = explore(writers, value, budget, conflicts, Fault::Sound);
    assert!(broken.is_empty(), "{writers:?}, {budget:?}: {broken:#?}");
    for state in wanted {
        assert!(reached.contains(state), "{writers:?}, {budget:?}: it never comes to this: {state}");
    }
}

#[test]
fn two_writers_keep_every_promise() {
    for writers in PAIRS {
        assert_sound(writers, true, CALM, 3, &[CONFLICT]);
        for slow in 0..2 {
            assert_sound(writers, false, Budget { slow, ..CALM }, 3, &[CONFLICT]);
        }
        assert_sound(writers, true, Budget { lost: 1, late: 1, ..CALM }, 3, &[CONFLICT, UNKNOWN]);
        assert_sound(writers, true, Budget { lost: 1, late: 1, rollback: 1, ..CALM }, 3, &[BURNT, UNKNOWN]);
        assert_sound(writers, true, Budget { crash: 1, slow: 1, lost: 1, ..CALM }, 3, &[CONFLICT]);
        assert_sound(writers, true, Budget { crash: 1, slow: 1, stale: 2, ..CALM }, 3, &[CONFLICT]);
        assert_sound(writers, true, Budget { foreign: 1, rollback: 1, ..CALM }, 3, &[BURNT]);
        assert_sound(writers, true, Budget { foreign: 1, rollback: 1, lost: 1, ..CALM }, 3, &[BURNT]);
        assert_sound(writers, false, Budget { foreign: 1, rollback: 1, late: 1, ..CALM }, 3, &[]);
    }
}

#[test]
fn three_writers_keep_every_promise() {
    for writers in TRIPLES {
        assert_sound(writers, true, CALM, 2, &[CONFLICT]);
        assert_sound(writers, false, Budget { late: 1, ..CALM }, 2, &[CONFLICT]);
        if writers.contains(&Optimistic) {
            assert_sound(writers, true, Budget { lost: 1, ..CALM }, 2, &[CONFLICT]);
            assert_sound(writers, true, Budget { crash: 1, ..CALM }, 2, &[CONFLICT]);
            assert_sound(writers, true, Budget { rollback: 1, ..CALM }, 2, &[CONFLICT]);
            assert_sound(writers, true, Budget { foreign: 1, ..CALM }, 2, &[DISPLACED]);
        }
    }
}

/// A rule left out is found out: the model can see what it looks for.
#[test]
fn every_planted_fault_is_found() {
    let [both_optimistic, both_strict, mixed] = PAIRS;
    let one_strict = TRIPLES[3];
    let worlds = |fault| match fault {
        Fault::Sound | Fault::NoNonce => (both_optimistic, true, CALM),
        Fault::UnansweredIsConflict => (both_optimistic, true, Budget { late: 1, ..CALM }),
        Fault::SupersededIsConflict => (both_optimistic, true, Budget { lost: 1, ..CALM }),
        Fault::MoveTwice => (both_strict, true, Budget { lost: 1, ..CALM }),
        Fault::NoWait | Fault::PassTakenMeanwhile | Fault::NeverSlow => (mixed, true, CALM),
        Fault::SlowBeforePromoted => (mixed, false, Budget { slow: 1, ..CALM }),
        Fault::UnlabelledIsConflict => (one_strict, false, Budget { lost: 1, ..CALM }),
        Fault::NoVerification => (both_optimistic, true, Budget { foreign: 1, ..CALM }),
        Fault::BelievePrevious => (both_optimistic, true, Budget { foreign: 1, rollback: 1, ..CALM }),
    };
    for fault in Fault::PLANTED {
        let (writers, value, budget) = worlds(fault);
        let conflicts = if writers.len() > 2 { 2 } else { 3 };
        let (broken, _) = explore(writers, value, budget, conflicts, fault);
        println!("{fault:?}: {}", broken.first().map_or("not found", String::as_str));
        assert!(!broken.is_empty(), "{fault:?} is not found");
        // It is the fault that breaks the promise, not the world.
        assert_sound(writers, value, budget, conflicts, &[]);
    }
}
