//! The checker of histories agrees with one that was written elsewhere, and with trying every order.
#![allow(missing_docs, clippy::unwrap_used)]

use fastrand::Rng;
use ksm_storage_testkit::history::{Answer, Call, Event, State, Verdict, judge, shortest};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

const KEYS: [&str; 2] = ["a", "b"];
const STEPS: usize = 1_000_000;

/// Calls by up to `clients` clients that take effect at a moment between invocation and return, apart from a few whose
/// answers are then falsified. One in `unknown` calls does not return; zero stands for none.
fn history(random: &mut Rng, clients: usize, calls: usize, unknown: u32) -> Vec<Event> {
    let mut state = State::new();
    let mut events: Vec<Event> = Vec::new();
    let mut pending: Vec<Option<(usize, Option<Answer>)>> = vec![None; clients];
    let mut time = 0;
    while events.len() < calls || pending.iter().any(Option::is_some) {
        time += 1;
        let client = random.usize(..clients);
        match &mut pending[client] {
            None if events.len() < calls => {
                pending[client] = Some((events.len(), None));
                let call = call(random);
                events.push(Event { client, handle: client, call, invoked: time, returned: None });
            }
            None => {}
            Some((index, answer @ None)) => *answer = Some(events[*index].call.apply(&mut state)),
            Some((index, Some(answer))) => {
                let lost = unknown > 0 && random.u32(..unknown) == 0;
                events[*index].returned = (!lost).then(|| (time, answer.clone()));
                pending[client] = None;
            }
        }
    }
    if random.bool() {
        (0..2 * calls).for_each(|_| falsify(random, &mut events));
    }
    events
}

fn call(random: &mut Rng) -> Call {
    let key = KEYS[random.usize(..KEYS.len())];
    match random.u8(..8) {
        0 | 1 => Call::Increment(key),
        2 => Call::Swap("a", "b"),
        3 => Call::Set(key, random.u8(..2).to_string()),
        4 => Call::Delete(key),
        5 => Call::DeleteAll,
        6 => Call::Refuse(key),
        _ => Call::Refresh,
    }
}

/// Puts the answer of one call in the place of another's of that kind.
fn falsify(random: &mut Rng, events: &mut [Event]) {
    let (one, other) = (random.usize(..events.len()), random.usize(..events.len()));
    let answer = events[other].returned.as_ref().map(|(_, answer)| answer.clone());
    if let (Some((_, place)), Some(answer)) = (&mut events[one].returned, answer)
        && std::mem::discriminant(place) == std::mem::discriminant(&answer)
    {
        *place = answer;
    }
}

#[derive(Clone)]
struct Document(State);

impl SequentialSpec for Document {
    type Op = Call;
    type Ret = Answer;

    fn invoke(&mut self, call: &Call) -> Answer {
        call.apply(&mut self.0)
    }
}

/// What stateright says. It takes a call that never returned for one that may happen, and lets its thread call no more.
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

/// Tries every order of every choice of the calls that did not return.
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

/// Compares on `count` histories, of which both kinds must be frequent.
fn agree(count: usize, mut make: impl FnMut(&mut Rng) -> Vec<Event>, other: impl Fn(&[Event]) -> bool) {
    let mut random = Rng::with_seed(1);
    let mut good = 0;
    for index in 0..count {
        let events = make(&mut random);
        let expected = if other(&events) { Verdict::Linearizable } else { Verdict::Violation };
        good += usize::from(expected == Verdict::Linearizable);
        assert_eq!(judge(&State::new(), &events, STEPS), expected, "history {index}: {events:#?}");
    }
    assert!((count / 5..count * 19 / 20).contains(&good), "{good} of {count} are linearizable");
}

#[test]
fn it_agrees_with_stateright_on_histories_without_unknown_outcomes() {
    agree(5_000, |random| history(random, 3, 9, 0), elsewhere);
}

#[test]
fn it_agrees_with_stateright_on_histories_with_unknown_outcomes() {
    agree(3_000, |random| history(random, 3, 7, 5), elsewhere);
}

#[test]
fn it_agrees_with_trying_every_order() {
    agree(5_000, |random| history(random, 3, 6, 3), by_force);
    agree(2_000, |random| history(random, 4, 8, 0), by_force);
}

#[test]
fn what_is_shortest_of_a_violation_is_one() {
    let mut random = Rng::with_seed(2);
    let (mut violations, mut calls, mut kept) = (0, 0, 0);
    for _ in 0..1_000 {
        let events = history(&mut random, 4, 15, 6);
        if judge(&State::new(), &events, STEPS) != Verdict::Violation {
            continue;
        }
        let short = shortest(&State::new(), &events, STEPS);
        assert_eq!(judge(&State::new(), &short, STEPS), Verdict::Violation);
        (violations, calls, kept) = (violations + 1, calls + events.len(), kept + short.len());
    }
    assert!(violations > 100, "{violations}");
    assert!(kept * 2 < calls, "{kept} of {calls} calls are left");
}
