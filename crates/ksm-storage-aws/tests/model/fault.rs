//! Faults that show that the model can find them.

use crate::{
    protocol::{
        Answer, Author, Displacement, Finding, FoundVersion, Labels, Mode, Placement, Progress, Reason,
        Store, Verdict,
        displacement::CheckStep,
        store::StoreStep,
        token_in_use::{Recovery, Tail, TailState},
    },
    service::Id,
};

/// A rule left out, or an old rule put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The code as it is.
    None,
    /// P1: a slot in use is skipped if a read by label still shows `AWSCURRENT` on the base.
    BaseByLabel,
    /// P2a: a refused move counts as a conflict without further checks.
    RefusedMoveIsConflict,
    /// P2b: a put answered with `ResourceExistsException` counts as another writer's version.
    ExistsIsAnothers,
    /// P3: a plain put skips a staged version that is not current.
    PendingIsLeft,
    /// P3: a displaced version counts as foreign, whatever its framing says.
    EverythingIsForeign,
    /// Puts carry no nonce.
    NoNonce,
    /// Bit 63 of the nonce does not mark a staged put.
    NoBit,
    /// Ownership of a put: a put that is not found counts as not applied.
    MissingPutIsRefused,
    /// Ownership of a move, step 1: the labels of the token are not checked.
    NoLookAtToken,
    /// Step 2: a successor does not count as proof.
    NoLookAtSuccessor,
    /// Step 3: an unanswered move without a trace counts as not applied.
    UnansweredMoveIsRefused,
    /// Step 4: a refused move without a trace counts as a conflict, wherever `AWSPREVIOUS` is.
    NoLookAtBase,
    /// Abandoned tokens are forgotten.
    NoMemory,
    /// Token in use, step 2: the successors are not walked.
    NoWalk,
    /// Step 3: the base is read before the walk.
    BaseBeforeWalk,
    /// Step 3: the base is not read.
    BaseNotRead,
    /// A first value without a label counts as never current.
    UnlabelledFirstValueIsRefused,
    /// No displacement check.
    NoCheck,
    /// Displacement, step 1: `AWSPREVIOUS` read by label is trusted.
    PreviousByLabel,
    /// Displacement, step 3: the token is not checked to be current.
    TokenNotRead,
}

impl Fault {
    /// Applies the answer to the store, with this fault injected.
    pub(crate) fn answer(self, store: Store<Id>, answer: Answer<Id>) -> Progress<Store<Id>, Verdict<Id>> {
        let conflict = Progress::Done(Verdict::Conflict { current: None, abandoned: None });
        let missing = |answer: &Answer<Id>| matches!(answer, Answer::Missing);
        let to = |step| Progress::Next(Store { step, ..store.clone() });
        match (self, &store.step, &answer) {
            (Self::RefusedMoveIsConflict, StoreStep::Move, Answer::Conflict) => conflict,
            (Self::ExistsIsAnothers, StoreStep::FindPut(_), Answer::Found(seen)) => {
                let author = match seen.author {
                    Author::ThisStore => Author::Project(store.placement),
                    author => author,
                };
                store.answer(Answer::Found(FoundVersion { author, ..seen.clone() }))
            }
            (Self::MissingPutIsRefused, StoreStep::FindPut(_), answer) if missing(answer) => {
                Progress::Done(Verdict::NotApplied(Reason::Put))
            }
            (Self::NoLookAtToken, StoreStep::FindMoved(_), _)
            | (Self::NoLookAtSuccessor, StoreStep::FindSuccessor(_), _) => store.answer(Answer::Missing),
            (Self::UnansweredMoveIsRefused, StoreStep::FindSuccessor(_), answer) if missing(answer) => {
                Progress::Done(Verdict::NotApplied(Reason::Move))
            }
            (Self::NoLookAtBase, StoreStep::FindBase, Answer::Found(seen)) => {
                store.answer(Answer::Found(FoundVersion { labels: Labels::Previous, ..seen.clone() }))
            }
            (Self::PendingIsLeft, StoreStep::ReadBase(_), Answer::Found(seen))
                if store.mode == Mode::Optimistic && seen.labels == Labels::Current =>
            {
                Progress::Next(Store { slot: store.slot + 1, step: StoreStep::Put, ..store })
            }
            // The walk finds nothing, and the base is read by label.
            (Self::BaseByLabel | Self::NoWalk, StoreStep::FindPut(_), Answer::Found(seen))
                if store.placement == Placement::Plain
                    && seen.author != Author::ThisStore
                    && seen.labels != Labels::Current
                    && store.base != Id::NO_VALUE =>
            {
                to(StoreStep::ReadBase(Recovery::NextSlot(Placement::Plain)))
            }
            (Self::BaseBeforeWalk, StoreStep::FindPut(_), Answer::Found(seen))
                if store.placement == Placement::Plain
                    && seen.author != Author::ThisStore
                    && seen.labels != Labels::Current
                    && store.base != Id::NO_VALUE =>
            {
                to(StoreStep::ReadBase(Recovery::Blocked))
            }
            (Self::BaseBeforeWalk, StoreStep::ReadBase(Recovery::Blocked), Answer::Found(seen))
                if seen.labels == Labels::Current =>
            {
                let state = TailState::Left;
                to(StoreStep::Walk(Tail { id: store.token(), state }))
            }
            (Self::BaseBeforeWalk, StoreStep::Walk(_), answer) if missing(answer) => {
                match store.answer(Answer::Missing) {
                    Progress::Next(store) if matches!(store.step, StoreStep::ReadBase(_)) => {
                        let labels = Labels::Current;
                        let author = Author::Foreign;
                        let base = FoundVersion { id: store.base, labels, author };
                        store.answer(Answer::Found(base))
                    }
                    progress => progress,
                }
            }
            (Self::BaseNotRead, StoreStep::ReadBase(_), Answer::Found(seen)) => {
                store.answer(Answer::Found(FoundVersion { labels: Labels::Current, ..seen.clone() }))
            }
            (Self::UnlabelledFirstValueIsRefused, StoreStep::FindFirstSuccessor, _) => {
                Progress::Done(Verdict::NotApplied(Reason::FirstValue))
            }
            _ => store.answer(answer),
        }
    }

    /// Applies the answer to the displacement check, with this fault injected.
    pub(crate) fn check(
        self,
        check: Displacement<Id>,
        answer: Answer<Id>,
    ) -> Progress<Displacement<Id>, Finding<Id>> {
        match (self, &check.step, &answer) {
            // The version that held the label before the base, from a stale read.
            (Self::PreviousByLabel, CheckStep::Base, Answer::Found(_)) => {
                Progress::Next(Displacement { step: CheckStep::Previous, ..check })
            }
            (Self::PreviousByLabel, CheckStep::Previous, Answer::Found(seen)) => {
                if seen.id == check.base {
                    Progress::Done(Finding::Nothing)
                } else if seen.id == check.token {
                    Progress::Done(Finding::Followed)
                } else {
                    Progress::Done(Finding::Displaced { version: seen.id, author: seen.author })
                }
            }
            (Self::TokenNotRead, CheckStep::Token { displaced, author }, _) => {
                Progress::Done(Finding::Displaced { version: *displaced, author: *author })
            }
            _ => check.answer(answer),
        }
    }
}
