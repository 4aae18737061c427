//! The write protocol: which calls a conditional write makes, and what it concludes from their answers.
//!
//! Nothing in here performs I/O, reads a clock or waits. [`Store`] and [`Displacement`] are values that name their next
//! request and take its answer, so that the model in `tests/model` explores this code and not a copy of it.
//!
//! Two invariants carry everything else. `slot(V, n)` is the n-th successor ID of version V.
//! 1. A plain put on V goes to `slot(V, 1)`; later slots take one only after *token in use* has found that the label
//!    left every version of the chain behind slot 1.
//! 2. Every other commit on V moves `AWSCURRENT` from V, and only once `slot(V, 1)` exists. AWS refuses the move unless V
//!    carries the label.
//!
//! So a successful plain put proves that no commit of ours ever left V, and a successful move proves that V was current at
//! that moment. Labels are read by version ID wherever a decision depends on them; a read of a label may be stale by any
//! amount. Reads by ID are taken to be fresh.

pub(crate) mod displacement;
pub(crate) mod ownership;
pub(crate) mod store;
pub(crate) mod token_in_use;

use std::fmt::Debug;

pub(crate) use displacement::{Displacement, Finding};
pub(crate) use store::Store;

/// A version ID, from which those of its successors are computed.
pub(crate) trait VersionId: Clone + Eq + Debug {
    /// Successors that one version may have.
    const SLOTS: u8;
    /// Generations of first successors that are searched for a descendant.
    const GENERATIONS: usize;

    /// The ID of the successor number `number`, counted from 1.
    fn slot(&self, number: u8) -> Self;

    /// True for the base of the first value of a secret, which is no version.
    fn is_no_value(&self) -> bool;

    /// This version and its first successors, generation by generation.
    fn chain(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self.clone()), |id| Some(id.slot(1))).take(1 + Self::GENERATIONS)
    }

    /// True if this is a successor of `parent`, in whatever slot.
    fn is_slot_of(&self, parent: &Self) -> bool {
        (1..=Self::SLOTS).any(|number| parent.slot(number) == *self)
    }
}

/// The way a writer commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mode {
    /// By a plain put; moves the label only after a version that may still become current.
    Optimistic,
    /// As `Optimistic`, by a role that was denied to move the label.
    PutOnly,
    /// By staging and a move.
    Strict,
}

/// The label that a put takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Placement {
    /// `AWSCURRENT`: the put is the commit.
    Plain,
    /// A private one: the commit is a move that follows. The first value of a secret becomes current all the same.
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
    /// Every request that was sent was refused, for another reason.
    Refused,
    /// No request was sent.
    NotSent,
    /// Nothing that tells whether the request was carried out.
    Unanswered,
    /// A read found this version.
    Found(Seen<I>),
    /// A read found no such version.
    Missing,
}

/// The labels of a version that decisions depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Labels {
    Current,
    Previous,
    Neither,
}

/// A version, as a read returned it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen<I> {
    pub(crate) id: I,
    pub(crate) labels: Labels,
    pub(crate) author: Author,
}

/// The writer of a version, by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Author {
    /// This store: the bytes are those of its put, nonce included.
    ThisStore,
    /// A writer of this project, by a put of this placement (bit 63 of the nonce).
    Project(Placement),
    /// Anybody else.
    Foreign,
}

/// The step after an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress<S, R> {
    Next(S),
    Done(R),
}

/// The result of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict<I> {
    /// Our version is, or was, current.
    Committed { token: I, placement: Placement },
    /// The base is not current any more, and this store has not taken effect.
    Conflict {
        /// The version that was just read with `AWSCURRENT`.
        current: Option<I>,
        /// Our staged version, should it become current after all.
        abandoned: Option<I>,
    },
    /// This store has not taken effect, and will not.
    NotApplied(Reason),
    /// Nobody can tell.
    Unknown(Reason),
}

/// The reason why a store neither committed nor met a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    /// The put failed.
    Put,
    /// The move failed.
    Move,
    /// A read that a decision depends on failed.
    Read,
    /// The move was refused, and the labels do not tell whether an earlier delivery of it was carried out.
    MoveRefused,
    /// The first value was stored, and shows no label.
    FirstValue,
    /// A staged version that may still become current is in the way, and this role may not move the label.
    Pending,
    /// Every slot of the base is in use.
    NoSlotLeft,
}
