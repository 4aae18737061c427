//! Linearizability of histories of concurrent calls.
//!
//! [`check`](fn@check) decides a history, [`minimize`](fn@minimize) reduces a violation to the calls that prove it, and
//! [`Timeline`] prints them.
//!
//! ```
//! use ksm_storage_testkit::history::{Answer, Call, Event, State, Verdict, check};
//!
//! // Two clients count concurrently, and both claim to be first.
//! let event = |client, invoked, returned| Event {
//!     client,
//!     handle: client,
//!     call: Call::Increment("url"),
//!     invoked,
//!     returned: Some((returned, Answer::Value(None))),
//! };
//! let history = [event(0, 0, 2), event(1, 1, 3)];
//! assert_eq!(check(&State::new(), &history, 1_000), Verdict::Violation);
//! ```

mod check;
mod minimize;

use std::collections::BTreeMap;

pub use check::{Verdict, check};
pub use minimize::{Timeline, minimize};

/// The keys of the document that the calls touch.
pub type State = BTreeMap<&'static str, String>;

/// A call on a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call {
    /// Adds one to the number under the key, and returns the previous number.
    Increment(&'static str),
    /// Exchanges the values of two keys, and returns the previous value of the first.
    Swap(&'static str, &'static str),
    /// Sets the key.
    Set(&'static str, String),
    /// Deletes the key, and returns true if it was present.
    Delete(&'static str),
    /// Deletes all keys.
    DeleteAll,
    /// Replaces the document with this one.
    Replace(State),
    /// Stores `document` if nothing was stored since `base` was read.
    Save {
        /// The document that the decision was based on.
        base: State,
        /// The document to store.
        document: State,
    },
    /// Changes the document, then declines to store it; returns what it saw.
    Refuse(&'static str),
    /// Changes the document, then panics; returns what it saw.
    Panic(&'static str),
    /// Returns the current document.
    Refresh,
    /// Opens a handle, and returns the document.
    Open,
    /// Returns the document as known to the handle: any state not older than those of the handle's earlier calls.
    Get,
}

/// The answer of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// Success without a value.
    Done,
    /// The value under the key.
    Value(Option<String>),
    /// True if the key was present.
    Found(bool),
    /// The document.
    Document(State),
    /// Nothing was stored: the base is not current.
    Conflict,
    /// The call took effect; its return value is unknown.
    Applied,
}

impl Call {
    /// Makes the call on a document that nobody else uses.
    pub fn apply(&self, state: &mut State) -> Answer {
        match self {
            Self::Increment(key) => {
                let before = state.get(key).cloned();
                let count = before.as_deref().and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
                state.insert(key, (count + 1).to_string());
                Answer::Value(before)
            }
            Self::Swap(one, other) => {
                let (first, second) = (state.remove(one), state.remove(other));
                state.extend(second.map(|value| (*one, value)));
                state.extend(first.clone().map(|value| (*other, value)));
                Answer::Value(first)
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
            Self::Replace(document) => {
                state.clone_from(document);
                Answer::Done
            }
            Self::Save { base, document } if state == base => {
                state.clone_from(document);
                Answer::Done
            }
            Self::Save { .. } => Answer::Conflict,
            Self::Refuse(key) | Self::Panic(key) => Answer::Value(state.get(key).cloned()),
            Self::Refresh | Self::Open | Self::Get => Answer::Document(state.clone()),
        }
    }

    /// Returns true if the call with this answer changes no document.
    fn only_reads(&self, answer: &Answer) -> bool {
        match self {
            Self::Refuse(_) | Self::Panic(_) | Self::Refresh | Self::Open | Self::Get => true,
            Self::Save { .. } => *answer == Answer::Conflict,
            _ => false,
        }
    }

    /// Makes the call on `state`, and returns the resulting document if the call can have returned `answer`.
    fn explains(&self, state: &State, answer: Option<&Answer>) -> Option<State> {
        // A save compares versions, and equal content may return under another version, so it may fail anywhere.
        if matches!((self, answer), (Self::Save { .. }, Some(Answer::Conflict))) {
            return Some(state.clone());
        }
        let mut next = state.clone();
        let own = self.apply(&mut next);
        match answer {
            None | Some(Answer::Applied) => Some(next),
            Some(answer) => (own == *answer).then_some(next),
        }
    }
}

/// A call with its times, all on one clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The calling client.
    pub client: usize,
    /// The handle, for [`Call::Get`].
    pub handle: usize,
    /// The call.
    pub call: Call,
    /// The time of invocation.
    pub invoked: u64,
    /// Time and value of the return, or `None` if the call never returned or its outcome is unknown. It may have taken
    /// effect at any time since its invocation, or not at all.
    pub returned: Option<(u64, Answer)>,
}
