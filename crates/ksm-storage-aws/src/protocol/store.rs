//! One conditional write as a sequence of calls.

// The two submodules continue `impl Store` and define types for its steps: one state machine in three files, hence the
// cycles.
use super::{
    Answer, Labels, Mode, Placement, Progress, Reason, Request, Verdict, VersionId,
    ownership::{MoveFailure, PutFailure},
    token_in_use::{Recovery, Tail},
};

pub(super) type Proceed<I> = Progress<Store<I>, Verdict<I>>;

/// One conditional write on the version `base`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Store<I> {
    pub(crate) base: I,
    pub(crate) mode: Mode,
    /// The slot of `base` being tried.
    pub(crate) slot: u8,
    pub(crate) placement: Placement,
    pub(crate) step: StoreStep<I>,
}

/// The next call, with the knowledge gathered so far.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum StoreStep<I> {
    Put,
    /// Ownership of a put: reads the token.
    FindPut(PutFailure),
    /// A first value without a label: reads its successor.
    FindFirstSuccessor,
    Move,
    /// Ownership of a move, step 1: reads the token.
    FindMoved(MoveFailure),
    /// Ownership of a move, step 2: reads the token's successor.
    FindSuccessor(MoveFailure),
    /// Ownership of a move, step 3: reads the base.
    FindBase,
    /// Ownership of a move, step 4: reads the version in another slot of the base, then its successor.
    FindSibling(u8),
    FindSiblingSuccessor(u8),
    /// Token in use, step 2: reads the first successor of the tail.
    Walk(Tail<I>),
    /// Token in use, step 3: reads the base.
    ReadBase(Recovery),
    /// The base is not current: follows first successors from this version to find the current one.
    Seek(I),
}

impl<I: VersionId> Store<I> {
    pub(crate) fn new(base: I, mode: Mode) -> Self {
        let placement = match mode {
            Mode::Optimistic | Mode::PutOnly => Placement::Plain,
            Mode::Strict => Placement::Staged,
        };
        Self { base, mode, slot: 1, placement, step: StoreStep::Put }
    }

    /// The ID of the version that this store writes.
    pub(crate) fn token(&self) -> I {
        self.base.slot(self.slot)
    }

    /// The next call.
    pub(crate) fn request(&self) -> Request<I> {
        match &self.step {
            StoreStep::Put => Request::Put { token: self.token(), placement: self.placement },
            StoreStep::Move => Request::Move { from: self.base.clone(), to: self.token() },
            StoreStep::FindPut(_) | StoreStep::FindMoved(_) => Request::Get(self.token()),
            StoreStep::FindFirstSuccessor | StoreStep::FindSuccessor(_) => Request::Get(self.token().slot(1)),
            StoreStep::FindBase | StoreStep::ReadBase(_) => Request::Get(self.base.clone()),
            StoreStep::FindSibling(number) => Request::Get(self.base.slot(*number)),
            StoreStep::FindSiblingSuccessor(number) => Request::Get(self.base.slot(*number).slot(1)),
            StoreStep::Walk(tail) => Request::Get(tail.id.slot(1)),
            StoreStep::Seek(id) => Request::Get(id.slot(1)),
        }
    }

    /// Processes the answer to that call.
    pub(crate) fn answer(self, answer: Answer<I>) -> Proceed<I> {
        match self.step.clone() {
            StoreStep::Put => self.put_answered(&answer),
            StoreStep::FindPut(failure) => self.find_put(failure, answer),
            StoreStep::FindFirstSuccessor => self.find_first_successor(&answer),
            StoreStep::Move => self.move_answered(&answer),
            StoreStep::FindMoved(failure) => self.find_moved(failure, &answer),
            StoreStep::FindSuccessor(failure) => self.find_successor(failure, &answer),
            StoreStep::FindBase => self.find_base(&answer),
            StoreStep::FindSibling(number) => self.find_sibling(number, &answer),
            StoreStep::FindSiblingSuccessor(number) => self.find_sibling_successor(number, &answer),
            StoreStep::Walk(tail) => self.walk(&tail, answer),
            StoreStep::ReadBase(recovery) => self.read_base(recovery, &answer),
            StoreStep::Seek(_) => self.seek(answer),
        }
    }

    /// Our bytes are stored under the token, with these labels.
    pub(super) fn placed(self, labels: Labels) -> Proceed<I> {
        match self.placement {
            Placement::Plain => self.committed(),
            // A first value becomes current at once, whatever its label.
            Placement::Staged if self.base.is_no_value() => match labels {
                Labels::Current | Labels::Previous => self.committed(),
                Labels::Neither => self.to(StoreStep::FindFirstSuccessor),
            },
            Placement::Staged => self.to(StoreStep::Move),
        }
    }

    pub(super) fn next_slot(self, placement: Placement) -> Proceed<I> {
        if self.slot >= I::SLOTS {
            return not_applied(Reason::NoSlotLeft);
        }
        Progress::Next(Self { slot: self.slot + 1, placement, step: StoreStep::Put, ..self })
    }

    pub(super) fn to(self, step: StoreStep<I>) -> Proceed<I> {
        Progress::Next(Self { step, ..self })
    }

    pub(super) fn committed(self) -> Proceed<I> {
        Progress::Done(Verdict::Committed { token: self.token(), placement: self.placement })
    }
}

pub(super) fn conflict<I>(current: Option<I>) -> Proceed<I> {
    Progress::Done(Verdict::Conflict { current, abandoned: None })
}

pub(super) fn not_applied<I>(reason: Reason) -> Proceed<I> {
    Progress::Done(Verdict::NotApplied(reason))
}

pub(super) fn unknown<I>(reason: Reason) -> Proceed<I> {
    Progress::Done(Verdict::Unknown(reason))
}
