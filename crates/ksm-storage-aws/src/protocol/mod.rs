//! The write protocol: the calls that a conditional write makes, and its conclusions from their answers.
//!
//! This module performs no I/O, reads no clock and never waits. [`Store`] and [`Displacement`] are values that return
//! their next request and accept its answer, so that the model in `tests/model` explores this code rather than a copy.
//!
//! Everything rests on two invariants. `slot(V, n)` is the n-th successor ID of version V.
//! 1. A plain put on V goes to `slot(V, 1)`. It takes a later slot only after *token in use* has found that the label
//!    has left every version of the chain behind slot 1.
//! 2. Every other commit on V moves `AWSCURRENT` from V, and only once `slot(V, 1)` exists. AWS refuses the move unless
//!    V carries the label.
//!
//! So a successful plain put proves that no earlier commit of ours was based on V, and a successful move proves that V
//! was current at that moment. Labels are read by version ID wherever a decision depends on them, because a read by
//! label may be arbitrarily stale. Reads by ID are assumed to be fresh.

pub(crate) mod displacement;
pub(crate) mod ownership;
pub(crate) mod store;
pub(crate) mod token_in_use;

use std::fmt::Debug;

pub(crate) use displacement::{Displacement, Finding};
pub(crate) use store::Store;

/// A version ID, from which the IDs of its successors are computed.
pub(crate) trait VersionId: Clone + Eq + Debug {
    /// The maximum number of successors of a version.
    const SLOTS: u8;
    /// The number of generations of first successors that are searched for a descendant.
    const GENERATIONS: usize;

    /// The ID of the successor with this number, counted from 1.
    fn slot(&self, number: u8) -> Self;

    /// True for the base of a secret's first value, which is not a version.
    fn is_no_value(&self) -> bool;

    /// This version and its line of first successors.
    fn chain(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self.clone()), |id| Some(id.slot(1))).take(1 + Self::GENERATIONS)
    }

    /// True if this is a successor of `parent`, in any slot.
    fn is_slot_of(&self, parent: &Self) -> bool {
        (1..=Self::SLOTS).any(|number| parent.slot(number) == *self)
    }
}

/// The commit method of a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mode {
    /// A plain put; moves the label only to get past a version that may still become current.
    Optimistic,
    /// Like `Optimistic`, for a role that was denied moving the label.
    PutOnly,
    /// By staging and a move.
    Strict,
}

/// The label that a put attaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Placement {
    /// `AWSCURRENT`: the put is the commit.
    Plain,
    /// A private label: a move follows as the commit. The first value of a secret becomes current regardless.
    Staged,
}

/// One call of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request<I> {
    Put {
        token: I,
        placement: Placement,
    },
    Move {
        from: I,
        to: I,
    },
    /// A version by its ID.
    Get(I),
    /// The version labelled `AWSPREVIOUS`.
    GetPrevious,
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer<I> {
    /// The put or the move was acknowledged.
    Done(Labels),
    /// `ResourceExistsException` for a put, `InvalidParameterException` for a move.
    Conflict,
    /// Every request sent was refused, for another reason than a conflict.
    Refused,
    /// No request was sent.
    NotSent,
    /// The reply, if any, does not show whether the request was carried out.
    Unanswered,
    /// A read found this version.
    Found(FoundVersion<I>),
    /// A read found no such version.
    Missing,
}

/// The labels of a version, as far as decisions depend on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Labels {
    Current,
    Previous,
    Neither,
}

/// A version as returned by a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundVersion<I> {
    pub(crate) id: I,
    pub(crate) labels: Labels,
    pub(crate) author: Author,
}

/// The writer of a version, judging by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Author {
    /// This store: the bytes equal those of its put, including the nonce.
    ThisStore,
    /// A writer of this project, by a put of this placement (bit 63 of the nonce).
    Project(Placement),
    /// Any other writer.
    Foreign,
}

/// Next action after an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress<S, R> {
    Next(S),
    Done(R),
}

/// The result of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict<I> {
    /// Our version is or was current.
    Committed { token: I, placement: Placement },
    /// The base is no longer current, and this store has not taken effect.
    Conflict {
        /// The version that was just seen with `AWSCURRENT`.
        current: Option<I>,
        /// Our staged version, in case it becomes current after all.
        abandoned: Option<I>,
    },
    /// This store has not taken effect and never will.
    NotApplied(Reason),
    /// Undecidable.
    Unknown(Reason),
}

/// The reason why a store ended in neither a commit nor a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    /// The put failed.
    Put,
    /// The move failed.
    Move,
    /// A read that a decision depends on failed.
    Read,
    /// The move was refused, and the labels do not show whether an earlier delivery of it was carried out.
    MoveRefused,
    /// The first value was stored, but shows no label.
    FirstValue,
    /// A staged version that may still become current blocks the put, and this role may not move the label.
    Pending,
    /// All slots of the base are in use.
    NoSlotLeft,
}
