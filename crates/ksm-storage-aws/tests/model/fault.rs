//! Faults to inject, to show that the model would find them.

use crate::{
    protocol::{
        Answer, Author, Displacement, Finding, Labels, Mode, Placement, Progress, Reason, Seen, Store,
        Verdict,
        displacement::CheckStep,
        store::Step,
        token_in_use::{Recovery, Tail, TailState},
    },
    service::Id,
};

/// A rule left out, or an old rule put back in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// None: the code as it is.
    None,
    /// P1: a slot in use is passed over if `AWSCURRENT`, read by label, is still on the base.
    BaseByLabel,
    /// P2a: a refused move is a conflict, without a look.
    RefusedMoveIsConflict,
    /// P2b: a put that is answered `ResourceExistsException` has met another writer's version.
    ExistsIsAnothers,
    /// P3: a staged version that is not current is passed over by a plain put.
    PendingIsLeft,
    /// P3: a displaced version is foreign, whatever its frame says.
    EverythingIsForeign,
    /// Puts carry no nonce.
    NoNonce,
    /// Bit 63 of the nonce does not tell a staged put.
    NoBit,
    /// Ownership of a put: one that is not found has not been applied.
    MissingPutIsRefused,
    /// Ownership of a move, step 1: the labels of the token are not looked at.
    NoLookAtToken,
    /// Step 2: a successor is no proof.
    NoLookAtSuccessor,
    /// Step 3: an unanswered move that shows no trace has not been applied.
    UnansweredMoveIsRefused,
    /// Step 4: a refused move without a trace is a conflict wherever `AWSPREVIOUS` is.
    NoLookAtBase,
    /// Memory: abandoned tokens are forgotten.
    NoMemory,
    /// Token in use, step 2: no walk.
    NoWalk,
    /// Step 3: the base is read before the walk.
    BaseBeforeWalk,
    /// Step 3: the base is not read.
    BaseNotRead,
    /// A first value that shows no label was never current.
    UnlabelledFirstValueIsRefused,
    /// No displacement check.
    NoCheck,
    /// Displacement, step 1: `AWSPREVIOUS` is believed by label.
    PreviousByLabel,
    /// Displacement, step 3: the token need not be current.
    TokenNotRead,
}

impl Fault {
    /// The store's conclusion from the answer, with this fault in it.
    pub(crate) fn answer(self, store: Store<Id>, answer: Answer<Id>) -> Progress<Store<Id>, Verdict<Id>> {
        let conflict = Progress::Done(Verdict::Conflict { current: None, abandoned: None });
        let missing = |answer: &Answer<Id>| matches!(answer, Answer::Missing);
        let to = |step| Progress::Next(Store { step, ..store.clone() });
        match (self, &store.step, &answer) {
            (Self::RefusedMoveIsConflict, Step::Move, Answer::Conflict) => conflict,
            (Self::ExistsIsAnothers, Step::FindPut(_), Answer::Found(seen)) => {
                let author = match seen.author {
                    Author::ThisStore => Author::Project(store.placement),
                    author => author,
                };
                store.answer(Answer::Found(Seen { author, ..seen.clone() }))
            }
            (Self::MissingPutIsRefused, Step::FindPut(_), answer) if missing(answer) => {
                Progress::Done(Verdict::NotApplied(Reason::Put))
            }
            (Self::NoLookAtToken, Step::FindMoved(_), _)
            | (Self::NoLookAtSuccessor, Step::FindSuccessor(_), _) => store.answer(Answer::Missing),
            (Self::UnansweredMoveIsRefused, Step::FindSuccessor(_), answer) if missing(answer) => {
                Progress::Done(Verdict::NotApplied(Reason::Move))
            }
            (Self::NoLookAtBase, Step::FindBase, Answer::Found(seen)) => {
                store.answer(Answer::Found(Seen { labels: Labels::Previous, ..seen.clone() }))
            }
            (Self::PendingIsLeft, Step::ReadBase(_), Answer::Found(seen))
                if store.mode == Mode::Optimistic && seen.labels == Labels::Current =>
            {
                Progress::Next(Store { slot: store.slot + 1, step: Step::Put, ..store })
            }
            // The walk looks nowhere, and the base was read by label.
            (Self::BaseByLabel | Self::NoWalk, Step::FindPut(_), Answer::Found(seen))
                if store.placement == Placement::Plain
                    && seen.author != Author::ThisStore
                    && seen.labels != Labels::Current
                    && store.base != Id::NO_VALUE =>
            {
                to(Step::ReadBase(Recovery::NextSlot(Placement::Plain)))
            }
            (Self::BaseBeforeWalk, Step::FindPut(_), Answer::Found(seen))
                if store.placement == Placement::Plain
                    && seen.author != Author::ThisStore
                    && seen.labels != Labels::Current
                    && store.base != Id::NO_VALUE =>
            {
                to(Step::ReadBase(Recovery::Blocked))
            }
            (Self::BaseBeforeWalk, Step::ReadBase(Recovery::Blocked), Answer::Found(seen))
                if seen.labels == Labels::Current =>
            {
                let state = TailState::Left;
                to(Step::Walk(Tail { id: store.token(), state }))
            }
            (Self::BaseBeforeWalk, Step::Walk(_), answer) if missing(answer) => {
                match store.answer(Answer::Missing) {
                    Progress::Next(store) if matches!(store.step, Step::ReadBase(_)) => {
                        let labels = Labels::Current;
                        let author = Author::Foreign;
                        let base = Seen { id: store.base, labels, author };
                        store.answer(Answer::Found(base))
                    }
                    progress => progress,
                }
            }
            (Self::BaseNotRead, Step::ReadBase(_), Answer::Found(seen)) => {
                store.answer(Answer::Found(Seen { labels: Labels::Current, ..seen.clone() }))
            }
            (Self::UnlabelledFirstValueIsRefused, Step::FindFirstSuccessor, _) => {
                Progress::Done(Verdict::NotApplied(Reason::FirstValue))
            }
            _ => store.answer(answer),
        }
    }

    /// The displacement check's conclusion from the answer, with this fault in it.
    pub(crate) fn check(
        self,
        check: Displacement<Id>,
        answer: Answer<Id>,
    ) -> Progress<Displacement<Id>, Finding<Id>> {
        match (self, &check.step, &answer) {
            // The version that had the label before the base, read stale.
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
