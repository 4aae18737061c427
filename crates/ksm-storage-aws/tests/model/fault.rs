//! What a writer may get wrong, to show that the checker would see it.

/// One rule of the protocol left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// None: as it should be.
    Sound,
    /// R0: puts carry no nonce.
    NoNonce,
    /// R1: a put that nothing is known of is tried anew.
    UnansweredIsConflict,
    /// R1: an acknowledged put that is no longer current is tried anew.
    SupersededIsConflict,
    /// R1, in strict mode: a move is sent a second time when no reply came, and the refusal of that is believed.
    MoveTwice,
    /// R2: a taken slot is passed over at once.
    NoWait,
    /// R2: slots that were taken during the wait for another are passed over with it.
    PassTakenMeanwhile,
    /// R2: a stager moves however long its put took.
    NeverSlow,
    /// In strict mode: a first value, current at once, is given up because its put took long.
    SlowBeforePromoted,
    /// In strict mode: a first value that two others have followed is taken for one that never was current.
    UnlabelledIsConflict,
    /// R3: nobody looks at what was displaced.
    NoVerification,
    /// R3: the previous version is believed without a look at the current one.
    BelievePrevious,
}

impl Fault {
    /// All but none.
    pub(crate) const PLANTED: [Self; 11] = [
        Self::NoNonce,
        Self::UnansweredIsConflict,
        Self::SupersededIsConflict,
        Self::MoveTwice,
        Self::NoWait,
        Self::PassTakenMeanwhile,
        Self::NeverSlow,
        Self::SlowBeforePromoted,
        Self::UnlabelledIsConflict,
        Self::NoVerification,
        Self::BelievePrevious,
    ];

    pub(crate) fn nonces(self) -> bool {
        self != Self::NoNonce
    }
}
