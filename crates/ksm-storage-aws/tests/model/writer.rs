//! A writer: how far it is in the conditional write, and what it knows.

use crate::service::{Author, Content, Id, WRITERS};

/// What a writer does next. A request on its way takes effect when the step is taken, and is answered at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum At {
    /// Reads the current version, to build on it.
    Load,
    /// A put is on its way.
    Put,
    /// No reply to the put: reads its own slot.
    Look,
    /// Its bytes are in the slot. Looks at the time, then moves `AWSCURRENT`.
    Staged {
        promoted: bool,
    },
    /// A move is on its way.
    Move,
    /// No reply to the move: reads its own slot.
    LookMoved,
    /// The move was refused: reads the current version.
    Refused,
    /// Written: reads the version before.
    Previous,
    /// The version before is not the one expected: reads the current one.
    Current {
        previous: Id,
    },
    /// The slot is taken: reads the current version.
    Taken(Wait),
    /// It is the one expected: reads the slots, one by one.
    Scan {
        wait: Wait,
        slot: u8,
    },
    /// None of them is current: lets time pass.
    Pause(Wait),
    Done(Outcome),
}

/// What a writer knows about slots that are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Wait {
    /// The slot that its put was refused for.
    pub(crate) first: u8,
    /// The free slot after it, and those before were all seen to be taken.
    pub(crate) next: Option<u8>,
    /// Whether two seconds have passed since that was seen.
    pub(crate) elapsed: bool,
}

impl Wait {
    pub(crate) fn after(first: u8) -> Self {
        Self { first, next: None, elapsed: false }
    }
}

/// What the caller of a logical write is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    Committed,
    /// Committed, and this version displaced.
    Displaced(Id),
    /// Committed, and nobody knows what was displaced.
    Unverified,
    Unknown,
    NotApplied,
    /// Nothing: the process is gone.
    Crashed,
}

impl Outcome {
    pub(crate) fn is_committed(self) -> bool {
        matches!(self, Self::Committed | Self::Displaced(_) | Self::Unverified)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Writer {
    pub(crate) at: At,
    /// How many stores ended in a conflict.
    pub(crate) conflicts: u8,
    /// The version that the store is built on, and what its counter was.
    pub(crate) expected: Id,
    pub(crate) added: [u8; WRITERS],
    pub(crate) slot: u8,
    /// Whether a second has passed since the put was begun.
    pub(crate) slow: bool,
    /// Whether anybody foreign has done anything since the load.
    pub(crate) meddled: bool,
    /// Whether `AWSCURRENT` was moved back since the write took effect.
    pub(crate) rolled_back: bool,
    /// How often the logical write took effect.
    pub(crate) effects: u8,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self {
            at: At::Load,
            conflicts: 0,
            expected: Id::NO_VALUE,
            added: [0; WRITERS],
            slot: 0,
            slow: false,
            meddled: false,
            rolled_back: false,
            effects: 0,
        }
    }

    /// The id that its put is under.
    pub(crate) fn token(&self) -> Id {
        self.expected.slot(self.slot)
    }

    /// The bytes of its put: one more than it loaded, and a nonce for each store.
    pub(crate) fn content(&self, number: usize) -> Content {
        let mut added = self.added;
        added[number] += 1;
        let number = u8::try_from(number).unwrap_or(u8::MAX);
        Content { author: Author::Writer { number, attempt: self.conflicts }, added }
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        match self.at {
            At::Done(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Forgets what no longer matters, so that states which differ in that alone are one.
    pub(crate) fn end(&mut self, outcome: Outcome) {
        *self = Self { at: At::Done(outcome), effects: self.effects, ..Self::new() };
    }
}

/// A request that arrives late: nobody waits for its reply.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Late {
    pub(crate) writer: usize,
    pub(crate) expected: Id,
    pub(crate) token: Id,
    pub(crate) meddled: bool,
    /// The bytes of a put; a move has none.
    pub(crate) content: Option<Content>,
}
