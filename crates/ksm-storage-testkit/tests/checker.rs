//! The history checker agrees with an independent implementation, and with trying every order.
#![allow(missing_docs, clippy::unwrap_used)]

mod generate;

use fastrand::Rng;
use generate::history;
use ksm_storage_testkit::history::{Answer, Call, Event, State, Verdict, check, minimize};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

const STEPS: usize = 1_000_000;

#[derive(Clone)]
struct Document(State);

impl SequentialSpec for Document {
    type Op = Call;
    type Ret = Answer;

    fn invoke(&mut self, call: &Call) -> Answer {
        call.apply(&mut self.0)
    }
}

/// The verdict of stateright, which treats a call that never returned as optional, and ignores later calls of its
/// thread.
fn elsewhere(events: &[Event]) -> bool {
    let mut tester = LinearizabilityTester::new(Document(State::new()));
    let mut moments: Vec<_> = events
        .iter()
        .enumerate()
        .flat_map(|(thread, event)| {
            let returned = event.returned.iter().map(move |(at, answer)| (*at, thread, Some(answer)));
            std::iter::once((event.invoked, thread, None)).chain(returned)
        })
        .collect();
    moments.sort_by_key(|(at, ..)| *at);
    for (_, thread, answer) in moments {
        let accepted = match answer {
            None => tester.on_invoke(thread, events[thread].call.clone()).map(drop),
            Some(answer) => tester.on_return(thread, answer.clone()).map(drop),
        };
        accepted.unwrap();
    }
    tester.is_consistent()
}

/// Tries every order of every subset of the calls that did not return.
fn by_force(events: &[Event]) -> bool {
    fn explain(events: &[Event], left: &mut Vec<usize>, state: &State) -> bool {
        if left.iter().all(|&index| events[index].returned.is_none()) {
            return true;
        }
        for place in 0..left.len() {
            let event = &events[left[place]];
            let late = left.iter().any(|&other| {
                events[other].returned.as_ref().is_some_and(|(returned, _)| *returned < event.invoked)
            });
            let mut next = state.clone();
            let answer = event.call.apply(&mut next);
            if late || event.returned.as_ref().is_some_and(|(_, returned)| *returned != answer) {
                continue;
            }
            let index = left.remove(place);
            let explained = explain(events, left, &next);
            left.insert(place, index);
            if explained {
                return true;
            }
        }
        false
    }
    explain(events, &mut (0..events.len()).collect(), &State::new())
}

/// Compares the verdicts on `count` histories. Both verdicts must be frequent.
fn agree(count: usize, mut make: impl FnMut(&mut Rng) -> Vec<Event>, other: impl Fn(&[Event]) -> bool) {
    let mut random = Rng::with_seed(1);
    let mut good = 0;
    for index in 0..count {
        let events = make(&mut random);
        let expected = if other(&events) { Verdict::Linearizable } else { Verdict::Violation };
        good += usize::from(expected == Verdict::Linearizable);
        assert_eq!(check(&State::new(), &events, STEPS), expected, "history {index}: {events:#?}");
    }
    assert!((count / 5..count * 19 / 20).contains(&good), "{good} of {count} are linearizable");
}

#[test]
fn known_histories_agree_with_stateright() {
    agree(5_000, |random| history(random, 3, 9, 0), elsewhere);
}

#[test]
fn unknown_histories_agree_with_stateright() {
    agree(3_000, |random| history(random, 3, 7, 5), elsewhere);
}

#[test]
fn it_agrees_with_trying_every_order() {
    agree(5_000, |random| history(random, 3, 6, 3), by_force);
    agree(2_000, |random| history(random, 4, 8, 0), by_force);
}

#[test]
fn minimized_violation_is_a_violation() {
    let mut random = Rng::with_seed(2);
    let (mut violations, mut calls, mut kept) = (0, 0, 0);
    for _ in 0..1_000 {
        let events = history(&mut random, 4, 15, 6);
        if check(&State::new(), &events, STEPS) != Verdict::Violation {
            continue;
        }
        let short = minimize(&State::new(), &events, STEPS);
        assert_eq!(check(&State::new(), &short, STEPS), Verdict::Violation);
        (violations, calls, kept) = (violations + 1, calls + events.len(), kept + short.len());
    }
    assert!(violations > 100, "{violations}");
    assert!(kept * 2 < calls, "{kept} of {calls} calls are left");
}
