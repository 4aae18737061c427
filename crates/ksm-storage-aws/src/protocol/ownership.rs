//! Ownership of a put and of a move: decides whether the write took effect, after any answer except success.

use super::{
    Answer, Author, Labels, Placement, Progress, Reason, Verdict, VersionId,
    store::{Proceed, Store, StoreStep, not_applied, unknown},
};

/// The answer to an unacknowledged put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PutFailure {
    Exists,
    Refused,
    Unanswered,
}

/// The answer to an unacknowledged move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum MoveFailure {
    /// The base does not carry `AWSCURRENT`.
    NotCurrent,
    Refused,
    Unanswered,
}

/// Ownership of a put.
impl<I: VersionId> Store<I> {
    /// A refusal may answer the second delivery of a put that was carried out, so anything except success is
    /// investigated.
    pub(super) fn put_answered(self, answer: &Answer<I>) -> Proceed<I> {
        match answer {
            Answer::Done(labels) => self.placed(*labels),
            Answer::NotSent => not_applied(Reason::Put),
            Answer::Conflict => self.to(StoreStep::FindPut(PutFailure::Exists)),
            Answer::Refused => self.to(StoreStep::FindPut(PutFailure::Refused)),
            Answer::Unanswered | Answer::Found(_) | Answer::Missing => {
                self.to(StoreStep::FindPut(PutFailure::Unanswered))
            }
        }
    }

    /// A version under our token with our nonce is our write. Other bytes prevent our put from ever taking effect.
    pub(super) fn find_put(self, failure: PutFailure, answer: Answer<I>) -> Proceed<I> {
        match answer {
            Answer::Found(found) if found.author == Author::ThisStore => self.placed(found.labels),
            Answer::Found(found) => self.token_in_use(found),
            _ => self.put_not_found(failure, &answer),
        }
    }

    /// A put that is not visible yet may still arrive. A staged one takes effect only by the move, and none was sent.
    fn put_not_found(self, failure: PutFailure, answer: &Answer<I>) -> Proceed<I> {
        let staged = self.placement == Placement::Staged && !self.base.is_no_value();
        let reason = match (failure, answer) {
            (PutFailure::Exists, Answer::Missing) | (PutFailure::Refused | PutFailure::Unanswered, _) => {
                Reason::Put
            }
            (PutFailure::Exists, _) => Reason::Read,
        };
        if staged || failure == PutFailure::Refused { not_applied(reason) } else { unknown(reason) }
    }

    /// A successor proves that somebody found the first value current; its absence proves nothing.
    pub(super) fn find_first_successor(self, answer: &Answer<I>) -> Proceed<I> {
        match answer {
            Answer::Found(_) => self.committed(),
            _ => unknown(Reason::FirstValue),
        }
    }
}

/// Ownership of a move.
impl<I: VersionId> Store<I> {
    /// A refusal may answer the second delivery of a move that was carried out, so anything except success is
    /// investigated.
    pub(super) fn move_answered(self, answer: &Answer<I>) -> Proceed<I> {
        match answer {
            Answer::Done(_) => self.committed(),
            Answer::NotSent => not_applied(Reason::Move),
            Answer::Conflict => self.to(StoreStep::FindMoved(MoveFailure::NotCurrent)),
            Answer::Refused => self.to(StoreStep::FindMoved(MoveFailure::Refused)),
            Answer::Unanswered | Answer::Found(_) | Answer::Missing => {
                self.to(StoreStep::FindMoved(MoveFailure::Unanswered))
            }
        }
    }

    /// Only our move gives our version one of these two labels.
    pub(super) fn find_moved(self, failure: MoveFailure, answer: &Answer<I>) -> Proceed<I> {
        match answer {
            Answer::Found(found) if found.labels != Labels::Neither => self.committed(),
            Answer::Found(_) | Answer::Missing => self.to(StoreStep::FindSuccessor(failure)),
            _ => Self::move_undecided(failure),
        }
    }

    /// A version is built on only after it was seen with `AWSCURRENT`, so a successor proves the move.
    pub(super) fn find_successor(self, failure: MoveFailure, answer: &Answer<I>) -> Proceed<I> {
        match (answer, failure) {
            (Answer::Found(_), _) => self.committed(),
            (Answer::Missing, MoveFailure::NotCurrent) => self.to(StoreStep::FindBase),
            _ => Self::move_undecided(failure),
        }
    }

    /// If our move had taken the label from the base, the next commit would have put `AWSPREVIOUS` on our version.
    pub(super) fn find_base(self, answer: &Answer<I>) -> Proceed<I> {
        match answer {
            Answer::Found(base) if base.labels == Labels::Previous => self.moved_elsewhere(None),
            Answer::Found(_) | Answer::Missing => self.next_sibling(1),
            _ => unknown(Reason::MoveRefused),
        }
    }

    /// The label left the base for another successor. It leaves the base only once unless somebody moves it back.
    pub(super) fn find_sibling(self, number: u8, answer: &Answer<I>) -> Proceed<I> {
        match answer {
            Answer::Found(sibling) if sibling.labels == Labels::Current => {
                self.moved_elsewhere(Some(sibling.id.clone()))
            }
            Answer::Found(sibling) if sibling.labels == Labels::Previous => self.moved_elsewhere(None),
            Answer::Found(_) => self.to(StoreStep::FindSiblingSuccessor(number)),
            _ => unknown(Reason::MoveRefused),
        }
    }

    pub(super) fn find_sibling_successor(self, number: u8, answer: &Answer<I>) -> Proceed<I> {
        match answer {
            Answer::Found(_) => self.moved_elsewhere(None),
            Answer::Missing => self.next_sibling(number + 1),
            _ => unknown(Reason::MoveRefused),
        }
    }

    fn next_sibling(self, first: u8) -> Proceed<I> {
        match (first..=I::SLOTS).find(|&number| number != self.slot) {
            Some(number) => self.to(StoreStep::FindSibling(number)),
            None => unknown(Reason::MoveRefused),
        }
    }

    fn moved_elsewhere(self, current: Option<I>) -> Proceed<I> {
        Progress::Done(Verdict::Conflict { current, abandoned: Some(self.token()) })
    }

    fn move_undecided(failure: MoveFailure) -> Proceed<I> {
        match failure {
            MoveFailure::Refused => not_applied(Reason::Move),
            MoveFailure::Unanswered => unknown(Reason::Move),
            MoveFailure::NotCurrent => unknown(Reason::MoveRefused),
        }
    }
}
