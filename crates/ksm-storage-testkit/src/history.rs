//! Histories of concurrent calls, and whether they are linearizable.
//!
//! The search is that of Wing and Gong with Lowe's memory of configurations already seen: it looks for an order of the
//! calls that respects real time and in which each returns what it did. The state is the whole document: a call may
//! touch all keys, so that keys cannot be judged one by one.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

/// The document, as far as the calls touch it.
pub type State = BTreeMap<&'static str, String>;

/// A call on a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call {
    /// Adds one to the number under the key, and returns what it was.
    Increment(&'static str),
    /// Sets the key.
    Set(&'static str, String),
    /// Deletes the key, and returns whether it was there.
    Delete(&'static str),
    /// Deletes all keys.
    DeleteAll,
    /// Changes the document, then refuses; returns what it saw.
    Refuse(&'static str),
    /// Returns the whole document.
    Refresh,
}

/// What a call returned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// Nothing but success.
    Done,
    /// What was under the key.
    Value(Option<String>),
    /// Whether the key was there.
    Found(bool),
    /// The document.
    Document(State),
}

impl Call {
    /// Makes the call on a document that nobody else touches.
    pub fn apply(&self, state: &mut State) -> Answer {
        match self {
            Self::Increment(key) => {
                let before = state.get(key).cloned();
                let count = before.as_deref().and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
                state.insert(key, (count + 1).to_string());
                Answer::Value(before)
            }
            Self::Set(key, value) => {
                state.insert(key, value.clone());
                Answer::Done
            }
            Self::Delete(key) => Answer::Found(state.remove(key).is_some()),
            Self::DeleteAll => {
                state.clear();
                Answer::Done
            }
            Self::Refuse(key) => Answer::Value(state.get(key).cloned()),
            Self::Refresh => Answer::Document(state.clone()),
        }
    }
}

/// A call with its times, on one clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Who called.
    pub client: usize,
    /// What.
    pub call: Call,
    /// When it was called.
    pub invoked: u64,
    /// When it returned, and what. `None`: it never did, or its outcome is not known. It may have taken effect at any
    /// time since, or not at all.
    pub returned: Option<(u64, Answer)>,
}

/// A judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order that explains everything.
    Linearizable,
    /// There is none.
    Violation,
    /// The steps allowed did not suffice to tell. This is not a pass.
    Inconclusive,
}

/// Judges a history of at most 64 calls that began with `state`.
pub fn judge(state: &State, events: &[Event], steps: usize) -> Verdict {
    if events.len() > 64 {
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
    seen: HashSet<(u64, State)>,
    steps: usize,
}

impl Search<'_> {
    /// Whether the calls outside the set `done` can follow on `state`. `None` if that took too long to tell.
    fn explain(&mut self, done: u64, state: &State) -> Option<bool> {
        let open = |index: usize| done & (1 << index) == 0;
        // The first return that is still to come: no call invoked after it can be next.
        let first_return = (0..self.events.len())
            .filter(|&index| open(index))
            .filter_map(|index| self.events[index].returned.as_ref().map(|(at, _)| *at))
            .min();
        let Some(first_return) = first_return else { return Some(true) };
        if !self.seen.insert((done, state.clone())) {
            return Some(false);
        }
        self.steps = self.steps.checked_sub(1)?;
        for index in (0..self.events.len()).filter(|&index| open(index)) {
            let event = &self.events[index];
            if event.invoked > first_return {
                continue;
            }
            let mut next = state.clone();
            let answer = event.call.apply(&mut next);
            if event.returned.as_ref().is_some_and(|(_, returned)| *returned != answer) {
                continue;
            }
            if self.explain(done | 1 << index, &next)? {
                return Some(true);
            }
        }
        Some(false)
    }
}

/// A history as a list in the order of invocation, for a failure message.
#[derive(Debug)]
pub struct Timeline<'a>(pub &'a [Event]);

impl fmt::Display for Timeline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut events: Vec<_> = self.0.iter().collect();
        events.sort_by_key(|event| event.invoked);
        for Event { client, call, invoked, returned } in events {
            match returned {
                Some((at, answer)) => {
                    writeln!(f, "  {invoked:>4}..{at:<4} client {client}: {call:?} -> {answer:?}")?;
                }
                None => writeln!(f, "  {invoked:>4}..     client {client}: {call:?} -> unknown")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(client: usize, call: Call, invoked: u64, returned: u64, answer: Answer) -> Event {
        Event { client, call, invoked, returned: Some((returned, answer)) }
    }

    fn verdict(events: &[Event]) -> Verdict {
        judge(&State::new(), events, 10_000)
    }

    fn set(value: &str) -> Call {
        Call::Set("k", value.into())
    }

    fn document(value: &str) -> Answer {
        Answer::Document(State::from([("k", value.to_owned())]))
    }

    #[test]
    fn overlapping_calls_may_take_effect_in_either_order() {
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
    fn an_unknown_call_may_have_happened_late_or_never() {
        let unknown = Event { client: 0, call: set("1"), invoked: 0, returned: None };
        let late = event(1, Call::Refresh, 9, 10, document("1"));
        let never = event(1, Call::Refresh, 9, 10, Answer::Document(State::new()));
        assert_eq!(verdict(&[unknown.clone(), never.clone(), late.clone()]), Verdict::Linearizable);
        assert_eq!(verdict(&[unknown.clone(), never]), Verdict::Linearizable);
        let twice = event(2, Call::Refresh, 30, 31, Answer::Document(State::new()));
        assert_eq!(verdict(&[unknown, late, twice]), Verdict::Violation, "it cannot be undone");
    }

    #[test]
    fn too_few_steps_are_no_judgement() {
        let events: Vec<_> =
            (0..8).map(|client| event(client, Call::Increment("k"), 0, 10, Answer::Value(None))).collect();
        assert_eq!(judge(&State::new(), &events, 3), Verdict::Inconclusive);
    }
}
