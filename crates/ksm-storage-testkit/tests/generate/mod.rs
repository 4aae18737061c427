//! Random histories, about half of them falsified.

use fastrand::Rng;
use ksm_storage_testkit::history::{Answer, Call, Event, State};

const KEYS: [&str; 2] = ["a", "b"];

/// Generates calls by up to `clients` clients that take effect between invocation and return. In half of the histories,
/// a few results are then falsified. One in `unknown` calls does not return; zero means that all return.
pub(crate) fn history(random: &mut Rng, clients: usize, calls: usize, unknown: u32) -> Vec<Event> {
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

/// Replaces the result of a call with that of another call of the same kind.
fn falsify(random: &mut Rng, events: &mut [Event]) {
    let (one, other) = (random.usize(..events.len()), random.usize(..events.len()));
    let answer = events[other].returned.as_ref().map(|(_, answer)| answer.clone());
    if let (Some((_, place)), Some(answer)) = (&mut events[one].returned, answer)
        && std::mem::discriminant(place) == std::mem::discriminant(&answer)
    {
        *place = answer;
    }
}
