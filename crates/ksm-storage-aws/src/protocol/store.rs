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
    pub(crate) step: Step<I>,
}

/// The next call, with the knowledge gathered so far.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step<I> {
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
        Self { base, mode, slot: 1, placement, step: Step::Put }
    }

    /// The ID of the version that this store writes.
    pub(crate) fn token(&self) -> I {
        self.base.slot(self.slot)
    }

    /// The next call.
    pub(crate) fn request(&self) -> Request<I> {
        match &self.step {
            Step::Put => Request::Put { token: self.token(), placement: self.placement },
            Step::Move => Request::Move { from: self.base.clone(), to: self.token() },
            Step::FindPut(_) | Step::FindMoved(_) => Request::Get(self.token()),
            Step::FindFirstSuccessor | Step::FindSuccessor(_) => Request::Get(self.token().slot(1)),
            Step::FindBase | Step::ReadBase(_) => Request::Get(self.base.clone()),
            Step::FindSibling(number) => Request::Get(self.base.slot(*number)),
            Step::FindSiblingSuccessor(number) => Request::Get(self.base.slot(*number).slot(1)),
            Step::Walk(tail) => Request::Get(tail.id.slot(1)),
            Step::Seek(id) => Request::Get(id.slot(1)),
        }
    }

    /// Processes the answer to that call.
    pub(crate) fn answer(self, answer: Answer<I>) -> Proceed<I> {
        match self.step.clone() {
            Step::Put => self.put_answered(&answer),
            Step::FindPut(failure) => self.find_put(failure, answer),
            Step::FindFirstSuccessor => self.find_first_successor(&answer),
            Step::Move => self.move_answered(&answer),
            Step::FindMoved(failure) => self.find_moved(failure, &answer),
            Step::FindSuccessor(failure) => self.find_successor(failure, &answer),
            Step::FindBase => self.find_base(&answer),
            Step::FindSibling(number) => self.find_sibling(number, &answer),
            Step::FindSiblingSuccessor(number) => self.find_sibling_successor(number, &answer),
            Step::Walk(tail) => self.walk(&tail, answer),
            Step::ReadBase(recovery) => self.read_base(recovery, &answer),
            Step::Seek(_) => self.seek(answer),
        }
    }

    /// Our bytes are stored under the token, with these labels.
    pub(super) fn placed(self, labels: Labels) -> Proceed<I> {
        match self.placement {
            Placement::Plain => self.committed(),
            // A first value becomes current at once, whatever its label.
            Placement::Staged if self.base.is_no_value() => match labels {
                Labels::Current | Labels::Previous => self.committed(),
                Labels::Neither => self.to(Step::FindFirstSuccessor),
            },
            Placement::Staged => self.to(Step::Move),
        }
    }

    pub(super) fn next_slot(self, placement: Placement) -> Proceed<I> {
        if self.slot >= I::SLOTS {
            return not_applied(Reason::NoSlotLeft);
        }
        Progress::Next(Self { slot: self.slot + 1, placement, step: Step::Put, ..self })
    }

    pub(super) fn to(self, step: Step<I>) -> Proceed<I> {
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
