//! Token in use: the slot holds another writer's version.

use super::{
    Answer, Author, FoundVersion, Labels, Mode, Placement, Reason, VersionId,
    store::{Proceed, Store, StoreStep, conflict, not_applied},
};

/// The last known version of the chain behind the slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tail<I> {
    pub(crate) id: I,
    pub(crate) state: TailState,
}

/// The known state of a version that does not carry `AWSCURRENT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TailState {
    /// It was current, and somebody other than a writer of this project moved the label away.
    Left,
    /// It may be a staged version that is yet to be moved.
    Pending,
}

/// Next action if the base is still current.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Recovery {
    /// Put into the next slot, with this placement.
    NextSlot(Placement),
    /// No safe action.
    Blocked,
}

impl<I: VersionId> Tail<I> {
    /// `AWSPREVIOUS` or a plain put proves that the version was current.
    fn new(seen: FoundVersion<I>) -> Self {
        let plain = seen.author == Author::Project(Placement::Plain);
        let state =
            if plain || seen.labels == Labels::Previous { TailState::Left } else { TailState::Pending };
        Self { id: seen.id, state }
    }
}

impl<I: VersionId> Store<I> {
    /// Step 1. A version with `AWSCURRENT` resolves all doubt: the read of the base was stale.
    pub(super) fn token_in_use(self, found: FoundVersion<I>) -> Proceed<I> {
        if found.labels == Labels::Current {
            return conflict(Some(found.id));
        }
        if self.base.is_no_value() {
            return conflict(None);
        }
        match self.placement {
            // A move is refused unless the base is current, so no further knowledge is needed.
            Placement::Staged => self.to(StoreStep::ReadBase(Recovery::NextSlot(Placement::Staged))),
            Placement::Plain => self.to(StoreStep::Walk(Tail::new(found))),
        }
    }

    /// Step 2. A plain put has no condition, so this first ensures that no version of the chain is current.
    pub(super) fn walk(self, tail: &Tail<I>, answer: Answer<I>) -> Proceed<I> {
        match answer {
            Answer::Found(found) if found.labels == Labels::Current => conflict(Some(found.id)),
            Answer::Found(found) => self.to(StoreStep::Walk(Tail::new(found))),
            Answer::Missing => {
                let recovery = match (tail.state, self.mode) {
                    (TailState::Left, _) => Recovery::NextSlot(Placement::Plain),
                    (TailState::Pending, Mode::PutOnly) => Recovery::Blocked,
                    (TailState::Pending, Mode::Optimistic | Mode::Strict) => {
                        Recovery::NextSlot(Placement::Staged)
                    }
                };
                self.to(StoreStep::ReadBase(recovery))
            }
            _ => not_applied(Reason::Read),
        }
    }

    /// Step 3, after the walk. If read before it, the base could lose the label to a version that the walk has already
    /// passed.
    pub(super) fn read_base(self, recovery: Recovery, answer: &Answer<I>) -> Proceed<I> {
        let current = match answer {
            Answer::Found(base) => base.labels == Labels::Current,
            Answer::Missing => false,
            _ => return not_applied(Reason::Read),
        };
        match (current, recovery, self.placement) {
            (true, Recovery::NextSlot(placement), _) => self.next_slot(placement),
            (true, Recovery::Blocked, _) => not_applied(Reason::Pending),
            (false, _, Placement::Plain) => conflict(None),
            (false, _, Placement::Staged) => {
                let token = self.token();
                self.to(StoreStep::Seek(token))
            }
        }
    }

    /// The next load may be as stale as the last one, so the conflict carries the current version if the chain leads to
    /// it. A plain put has already walked the chain.
    pub(super) fn seek(self, answer: Answer<I>) -> Proceed<I> {
        match answer {
            Answer::Found(found) if found.labels == Labels::Current => conflict(Some(found.id)),
            Answer::Found(found) => self.to(StoreStep::Seek(found.id)),
            _ => conflict(None),
        }
    }
}
