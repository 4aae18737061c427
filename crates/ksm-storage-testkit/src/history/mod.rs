//! Linearizability of histories of concurrent calls.
//!
//! [`check`](fn@check) decides a history, [`minimize`](fn@minimize) reduces a violation to the calls that prove it, and
//! [`Timeline`] prints these.
//!
//! ```
//! use ksm_storage_testkit::history::{Answer, Call, Event, State, Verdict, check};
//!
//! // Two clients count at the same time, and both say that they were the first.
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

/// The document, as far as the calls touch it.
pub type State = BTreeMap<&'static str, String>;

/// A call on a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call {
    /// Adds one to the number under the key, and returns what it was.
    Increment(&'static str),
    /// Exchanges the values of two keys, and returns what the first was.
    Swap(&'static str, &'static str),
    /// Sets the key.
    Set(&'static str, String),
    /// Deletes the key, and returns whether it was there.
    Delete(&'static str),
    /// Deletes all keys.
    DeleteAll,
    /// Stores this document in place of whatever is there.
    Replace(State),
    /// Stores `document` if nothing was stored since `base` was read.
    Save {
        /// The base of the decision.
        base: State,
        /// The content to store.
        document: State,
    },
    /// Changes the document, then refuses; returns what it saw.
    Refuse(&'static str),
    /// Changes the document, then panics; returns what it saw.
    Panic(&'static str),
    /// Returns the whole document, as it is now.
    Refresh,
    /// Opens a handle, and returns the whole document.
    Open,
    /// Returns the whole document, as the handle knows it: any state no older than those of the handle's earlier calls.
    Get,
}

/// The answer of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// Nothing but success.
    Done,
    /// The value under the key.
    Value(Option<String>),
    /// True if the key was there.
    Found(bool),
    /// The document.
    Document(State),
    /// Nothing was stored: the base is not current.
    Conflict,
    /// It took effect; what it would have returned is not known.
    Applied,
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

    /// Returns true if the call, with this answer, leaves every document as it is.
    fn only_reads(&self, answer: &Answer) -> bool {
        match self {
            Self::Refuse(_) | Self::Panic(_) | Self::Refresh | Self::Open | Self::Get => true,
            Self::Save { .. } => *answer == Answer::Conflict,
            _ => false,
        }
    }

    /// Makes the call on `state` and returns what is stored then, if it can have returned `answer`.
    fn explains(&self, state: &State, answer: Option<&Answer>) -> Option<State> {
        // A save tells versions apart, and equal content may come back under another one: it may fail anywhere.
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

/// A call with its times, on one clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Who called.
    pub client: usize,
    /// On which handle, for [`Call::Get`].
    pub handle: usize,
    /// What.
    pub call: Call,
    /// When it was called.
    pub invoked: u64,
    /// When it returned, and what. `None`: it never did, or its outcome is not known. It may have taken effect at any
    /// time since, or not at all.
    pub returned: Option<(u64, Answer)>,
}
