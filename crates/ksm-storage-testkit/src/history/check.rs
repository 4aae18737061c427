use std::collections::HashSet;

use super::{Call, Event, State};

/// Result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Some sequential order explains all results.
    Linearizable,
    /// No sequential order does.
    Violation,
    /// The step limit was too low to decide. This is not a pass.
    Inconclusive,
}

/// The maximum number of calls in a history.
const MOST: usize = 128;

/// Checks a history of at most 128 calls that began with `state`, in at most `steps` steps.
///
/// The algorithm is Wing and Gong's with Lowe's cache of visited configurations (Testing for linearizability, 2017): it
/// searches for an order of the calls that respects real time and explains each result. The state is the whole
/// document: a call may touch all keys, so keys cannot be checked separately.
///
/// A [`Call::Get`] need not be recent: it may be ordered before calls that had returned when it was made, but not
/// before earlier calls of its own handle.
pub fn check(state: &State, events: &[Event], steps: usize) -> Verdict {
    if events.len() > MOST {
        return Verdict::Inconclusive;
    }
    let mut search = Search { events, seen: HashSet::new(), steps };
    match search.explain(0, state) {
        Some(true) => Verdict::Linearizable,
        Some(false) => Verdict::Violation,
        None => Verdict::Inconclusive,
    }
}

struct Search<'a> {
    events: &'a [Event],
    seen: HashSet<(u128, State)>,
    steps: usize,
}

impl Search<'_> {
    /// Returns true if the calls outside the set `done` can follow on `state`, or `None` if the step limit is reached.
    fn explain(&mut self, mut done: u128, state: &State) -> Option<bool> {
        // A read-only call can be taken immediately if it fits here: postponing it gains nothing.
        let mut next = loop {
            let Some(next) = self.next(done) else { return Some(true) };
            let harmless = next.iter().copied().find(|&index| {
                let Event { call, returned, .. } = &self.events[index];
                let answer = returned.as_ref().map(|(_, answer)| answer);
                answer.is_some_and(|answer| call.only_reads(answer)) && call.explains(state, answer).is_some()
            });
            match harmless {
                Some(index) => done |= 1 << index,
                None => break next,
            }
        };
        if !self.seen.insert((done, state.clone())) {
            return Some(false);
        }
        self.steps = self.steps.checked_sub(1)?;
        // Calls that may never have happened are tried last.
        next.sort_by_key(|&index| self.events[index].returned.is_none());
        for index in next {
            let Event { call, returned, .. } = &self.events[index];
            let answer = returned.as_ref().map(|(_, answer)| answer);
            let Some(after) = call.explains(state, answer) else { continue };
            if returned.is_none() && after == *state {
                continue;
            }
            if self.explain(done | 1 << index, &after)? {
                return Some(true);
            }
        }
        Some(false)
    }

    /// The calls that may come next, or `None` if none must.
    fn next(&self, done: u128) -> Option<Vec<usize>> {
        let open = |index: &usize| done & (1 << index) == 0;
        let returned = |index: usize| self.events[index].returned.as_ref().map(|(at, _)| *at);
        // The first return still to come: a call invoked after it cannot be next.
        let first_return = (0..self.events.len()).filter(open).filter_map(returned).min()?;
        let may_be_next = |index: &usize| {
            let event = &self.events[*index];
            match event.call {
                Call::Get => !(0..self.events.len()).filter(open).any(|other| {
                    self.events[other].handle == event.handle
                        && returned(other).is_some_and(|at| at < event.invoked)
                }),
                _ => event.invoked <= first_return,
            }
        };
        Some((0..self.events.len()).filter(open).filter(may_be_next).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Answer, *};

    fn event(client: usize, call: Call, invoked: u64, returned: u64, answer: Answer) -> Event {
        Event { client, handle: client, call, invoked, returned: Some((returned, answer)) }
    }

    fn verdict(events: &[Event]) -> Verdict {
        check(&State::new(), events, 10_000)
    }

    fn set(value: &str) -> Call {
        Call::Set("k", value.into())
    }

    fn document(value: &str) -> Answer {
        Answer::Document(State::from([("k", value.to_owned())]))
    }

    #[test]
    fn overlapping_calls_have_either_order() {
        for seen in ["1", "2"] {
            let events = [
                event(0, set("1"), 0, 10, Answer::Done),
                event(1, set("2"), 1, 11, Answer::Done),
                event(2, Call::Refresh, 12, 13, document(seen)),
            ];
            assert_eq!(verdict(&events), Verdict::Linearizable, "{seen}");
        }
    }

    #[test]
    fn idempotent_write_may_take_effect_later() {
        let events = [
            event(0, set("1"), 0, 3, Answer::Done),
            event(1, Call::DeleteAll, 1, 4, Answer::Done),
            event(0, Call::Refresh, 5, 6, Answer::Document(State::new())),
        ];
        assert_eq!(verdict(&events), Verdict::Linearizable);
    }

    #[test]
    fn a_stale_read_is_a_violation() {
        let events = [
            event(0, set("1"), 0, 1, Answer::Done),
            event(0, set("2"), 2, 3, Answer::Done),
            event(1, Call::Refresh, 4, 5, document("1")),
        ];
        assert_eq!(verdict(&events), Verdict::Violation);
    }

    #[test]
    fn a_lost_update_is_a_violation() {
        let events = [
            event(0, Call::Increment("k"), 0, 10, Answer::Value(None)),
            event(1, Call::Increment("k"), 1, 11, Answer::Value(None)),
        ];
        assert_eq!(verdict(&events), Verdict::Violation);
    }

    #[test]
    fn a_resurrected_key_is_a_violation() {
        let events = [
            event(0, set("1"), 0, 1, Answer::Done),
            event(0, Call::Delete("k"), 2, 3, Answer::Found(true)),
            event(1, Call::Delete("k"), 4, 5, Answer::Found(true)),
        ];
        assert_eq!(verdict(&events), Verdict::Violation);
    }

    #[test]
    fn a_torn_document_is_a_violation() {
        let torn = Answer::Document(State::from([("a", "1".into())]));
        let events = [
            event(0, Call::Set("a", "1".into()), 0, 1, Answer::Done),
            event(0, Call::Set("b", "1".into()), 2, 3, Answer::Done),
            event(1, Call::Refresh, 4, 5, torn),
        ];
        assert_eq!(verdict(&events), Verdict::Violation);
    }

    #[test]
    fn unknown_call_is_late_or_never() {
        let unknown = Event { client: 0, handle: 0, call: set("1"), invoked: 0, returned: None };
        let late = event(1, Call::Refresh, 9, 10, document("1"));
        let never = event(1, Call::Refresh, 9, 10, Answer::Document(State::new()));
        assert_eq!(verdict(&[unknown.clone(), never.clone(), late.clone()]), Verdict::Linearizable);
        assert_eq!(verdict(&[unknown.clone(), never]), Verdict::Linearizable);
        let twice = event(2, Call::Refresh, 30, 31, Answer::Document(State::new()));
        assert_eq!(verdict(&[unknown, late, twice]), Verdict::Violation, "it cannot be undone");
    }

    #[test]
    fn too_few_steps_are_inconclusive() {
        let events: Vec<_> =
            (0..8).map(|client| event(client, Call::Increment("k"), 0, 10, Answer::Value(None))).collect();
        assert_eq!(check(&State::new(), &events, 3), Verdict::Inconclusive);
    }

    #[test]
    fn failed_write_that_appears_is_violation() {
        // The call without an effect is not in the history, so nothing explains the value it wrote.
        let events = [
            event(0, Call::Refresh, 0, 1, Answer::Document(State::new())),
            event(1, Call::Refresh, 2, 3, document("1")),
        ];
        assert_eq!(verdict(&events), Verdict::Violation);
    }

    #[test]
    fn a_torn_swap_is_a_violation() {
        let both = |a: &str, b: &str| State::from([("a", a.to_owned()), ("b", b.to_owned())]);
        let history = |seen| {
            [
                event(0, Call::Replace(both("1", "2")), 0, 1, Answer::Done),
                event(0, Call::Swap("a", "b"), 2, 9, Answer::Value(Some("1".into()))),
                event(1, Call::Refresh, 3, 4, Answer::Document(seen)),
            ]
        };
        assert_eq!(verdict(&history(both("1", "2"))), Verdict::Linearizable);
        assert_eq!(verdict(&history(both("2", "1"))), Verdict::Linearizable);
        assert_eq!(verdict(&history(both("2", "2"))), Verdict::Violation);
    }

    #[test]
    fn snapshot_read_has_a_bound() {
        let history = |reader| {
            [
                event(0, set("1"), 0, 1, Answer::Done),
                event(1, Call::Refresh, 2, 3, document("1")),
                event(0, set("2"), 4, 5, Answer::Done),
                event(reader, Call::Get, 6, 7, document("1")),
            ]
        };
        assert_eq!(verdict(&history(1)), Verdict::Linearizable);
        assert_eq!(verdict(&history(0)), Verdict::Violation, "it does not see its own write");
    }

    #[test]
    fn snapshot_reads_are_monotonic() {
        let history = |first, second| {
            [
                event(0, set("1"), 0, 1, Answer::Done),
                event(0, set("2"), 2, 3, Answer::Done),
                event(1, Call::Get, 4, 5, document(first)),
                event(1, Call::Get, 6, 7, document(second)),
            ]
        };
        assert_eq!(verdict(&history("1", "2")), Verdict::Linearizable);
        assert_eq!(verdict(&history("2", "1")), Verdict::Violation);
    }

    #[test]
    fn snapshot_read_sees_no_future() {
        let events = [event(1, Call::Get, 0, 1, document("1")), event(0, set("1"), 2, 3, Answer::Done)];
        assert_eq!(verdict(&events), Verdict::Violation);
    }

    #[test]
    fn save_on_outdated_base_is_violation() {
        let save = |answer| {
            let base = State::new();
            let document = State::from([("k", "2".to_owned())]);
            [
                event(0, set("1"), 0, 1, Answer::Done),
                event(1, Call::Save { base, document }, 2, 3, answer),
                event(0, Call::Refresh, 4, 5, Answer::Document(State::from([("k", "1".into())]))),
            ]
        };
        assert_eq!(verdict(&save(Answer::Conflict)), Verdict::Linearizable);
        assert_eq!(verdict(&save(Answer::Done)), Verdict::Violation);
    }

    #[test]
    fn applied_call_cannot_be_omitted() {
        let events = |answer: Option<Answer>| {
            [
                Event {
                    client: 0,
                    handle: 0,
                    call: set("1"),
                    invoked: 0,
                    returned: answer.map(|answer| (1, answer)),
                },
                event(1, Call::Refresh, 2, 3, Answer::Document(State::new())),
            ]
        };
        assert_eq!(verdict(&events(None)), Verdict::Linearizable);
        assert_eq!(verdict(&events(Some(Answer::Applied))), Verdict::Violation);
    }
}
