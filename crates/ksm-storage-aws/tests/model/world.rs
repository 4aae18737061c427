//! The state that the model explores: the secret, its writers, requests in flight, and the faults that may still occur.

use std::fmt;

use crate::{
    protocol::{Displacement, Mode, Placement, Store, VersionId},
    service::{Cause, Content, Id, Service, WRITES},
};

/// The number of times that each fault may still occur.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    /// A request is carried out, but its reply is lost.
    pub(crate) lost: u8,
    /// A request arrives at any later time or never, after its sender has given up.
    pub(crate) late: u8,
    /// A request is delivered twice. Its sender sees either reply.
    pub(crate) twice: u8,
    /// A put is carried out but answered with `ResourceExistsException`.
    pub(crate) exists: u8,
    /// A put is refused, and not carried out.
    pub(crate) refused: u8,
    /// A writer's process ends.
    pub(crate) crash: u8,
    /// Another program writes without reading first.
    pub(crate) foreign: u8,
    /// An operator moves `AWSCURRENT` to an earlier version.
    pub(crate) rollback: u8,
}

/// A violated invariant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Broken {
    /// An acknowledged change never took effect, or one of our versions was displaced by a write not based on it.
    Lost,
    Twice,
    /// A change took effect although it was reported as not applied.
    RefusedApplied,
    /// A version was displaced without a report.
    Silent,
    /// The version reported as displaced was not displaced by this write.
    FalseReport,
    OwnCalledForeign,
}

/// The result reported to the caller of a logical write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    Committed,
    Displaced {
        version: Id,
        foreign: bool,
    },
    Unverified,
    Unknown,
    NotApplied,
    /// No result: the process crashed.
    Crashed,
}

impl Outcome {
    pub(crate) fn is_committed(self) -> bool {
        matches!(self, Self::Committed | Self::Displaced { .. } | Self::Unverified)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// Reads `AWSCURRENT` by label.
    Load,
    Store(Store<Id>),
    Check {
        check: Displacement<Id>,
        again: bool,
    },
    Done,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Writer {
    pub(crate) phase: Phase,
    pub(crate) mode: Mode,
    /// The number of the logical write, and how many remain, including this one.
    pub(crate) write: u8,
    pub(crate) left: u8,
    pub(crate) conflicts: u8,
    pub(crate) added: [u8; WRITES],
    /// The latest moment at which the base was known to be current.
    pub(crate) view: usize,
    pub(crate) nonce: u8,
    /// The latest moment at which our version was known to be current.
    pub(crate) placed: usize,
    /// Tokens that earlier attempts of this write abandoned.
    pub(crate) abandoned: Vec<Id>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.mode, self.phase)
    }
}

impl Writer {
    pub(crate) fn new(mode: Mode, write: u8, left: u8) -> Self {
        let phase = if left == 0 { Phase::Done } else { Phase::Load };
        let added = [0; WRITES];
        Self {
            phase,
            mode,
            write,
            left,
            conflicts: 0,
            added,
            view: 0,
            nonce: 0,
            placed: 0,
            abandoned: Vec::new(),
        }
    }

    pub(crate) fn content(&self, placement: Placement) -> Content {
        let mut added = self.added;
        added[usize::from(self.write)] += 1;
        Content { write: self.write, nonce: self.nonce, placement, added }
    }
}

/// A request in flight.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Flight {
    pub(crate) content: Content,
    pub(crate) base: Id,
    pub(crate) token: Id,
    pub(crate) view: usize,
    pub(crate) kind: Kind,
}

/// The effect of a request in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Put(Placement),
    Move,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) service: Service,
    pub(crate) writers: Vec<Writer>,
    pub(crate) flights: Vec<Flight>,
    pub(crate) budget: Budget,
    /// The nonces of each logical write that took effect, and those reported to the caller as not applied.
    pub(crate) effects: [u16; WRITES],
    pub(crate) refused: [u16; WRITES],
    pub(crate) outcomes: [Option<Outcome>; WRITES],
    pub(crate) broken: Option<Broken>,
}

impl World {
    pub(crate) fn breaks(&mut self, broken: Broken) {
        self.broken.get_or_insert(broken);
    }

    pub(crate) fn had_effect(&self, write: u8, nonce: u8) -> bool {
        self.effects[usize::from(write)] >> nonce & 1 == 1
    }

    fn was_refused(&self, write: u8, nonce: u8) -> bool {
        self.outcomes[usize::from(write)] == Some(Outcome::NotApplied)
            || self.refused[usize::from(write)] >> nonce & 1 == 1
    }

    /// Delivers a put or a move to the service. Returns true if the service acknowledges it.
    pub(crate) fn arrive(&mut self, flight: &Flight, nonces: bool) -> bool {
        let Content { write, nonce, .. } = flight.content;
        let before = self.service.current();
        if flight.kind == Kind::Move {
            if before != flight.base {
                return false;
            }
            let again = self.had_effect(write, nonce);
            let revived = again || self.service.rolled_back() && self.was_refused(write, nonce);
            self.service.make_current(flight.token, if revived { Cause::Revival } else { Cause::Own });
            self.took_effect(flight, flight.base);
            return true;
        }
        if let Some(version) = self.service.version(flight.token) {
            return version.content.is(&flight.content, nonces);
        }
        let first = self.service.versions.is_empty();
        let commits = flight.kind == Kind::Put(Placement::Plain) || first;
        let born = self.service.moments.len() - usize::from(!commits);
        self.service.insert(flight.token, flight.content, born);
        if commits {
            self.service.make_current(flight.token, Cause::Own);
            self.took_effect(flight, before);
        }
        true
    }

    fn took_effect(&mut self, flight: &Flight, before: Id) {
        let Content { write, nonce, added, .. } = flight.content;
        let index = usize::from(write);
        let base = self.adopted(flight);
        if before != base {
            self.displaced(flight, before);
        }
        if added[index] > 1 || self.effects[index] & !(1 << nonce) != 0 && !self.service.disturbed() {
            self.breaks(Broken::Twice);
        }
        // A rollback to the base can revive a refused move; the documentation says so.
        if self.was_refused(write, nonce) && !self.service.rolled_back() {
            self.breaks(Broken::RefusedApplied);
        }
        self.effects[index] |= 1 << nonce;
    }

    /// Returns the version that a put is effectively based on. Never-current versions between the two take effect with
    /// the put.
    fn adopted(&mut self, flight: &Flight) -> Id {
        let mut base = flight.base;
        while flight.kind != Kind::Move && base != Id::FIRST {
            let Some(version) = self.service.version(base).filter(|version| !version.was_current) else {
                break;
            };
            let Content { write, nonce, .. } = version.content;
            if self.was_refused(write, nonce) && !self.service.rolled_back() {
                self.breaks(Broken::RefusedApplied);
            }
            self.effects[usize::from(write)] |= 1 << nonce;
            base = base.parent();
        }
        base
    }

    /// Records that a commit took the label from a version other than its base.
    fn displaced(&mut self, flight: &Flight, before: Id) {
        let until = self.service.now();
        let since = self.service.moments[..until].iter().skip(flight.view + 1);
        let excused = since.into_iter().any(|moment| moment.cause != Cause::Own);
        let ancestor = std::iter::successors(Some(flight.base), |id| (id.0 > 0xF).then(|| id.parent()))
            .any(|id| id == before);
        if !(excused || ancestor && self.service.rolled_back()) {
            self.breaks(Broken::Lost);
        }
        if let Some(version) = self.service.version_mut(flight.token) {
            version.displaced = Some(before);
        }
        if let Some(moment) = self.service.moments.last_mut()
            && moment.cause == Cause::Own
        {
            moment.cause = Cause::Fork;
        }
    }

    /// Records that the caller is, or will be, told that this attempt was not applied.
    pub(crate) fn refuse(&mut self, number: usize) {
        let Writer { write, nonce, .. } = self.writers[number];
        if self.had_effect(write, nonce) && !self.service.rolled_back() {
            self.breaks(Broken::RefusedApplied);
        }
        self.refused[usize::from(write)] |= 1 << nonce;
    }

    /// Ends the logical write.
    pub(crate) fn end(&mut self, number: usize, token: Option<Id>, outcome: Outcome) {
        let Writer { write, nonce, placed, mode, left, .. } = self.writers[number];
        if outcome == Outcome::NotApplied {
            self.refuse(number);
        }
        if outcome.is_committed() {
            let index = usize::from(write);
            let lost = match token {
                Some(_) => !self.had_effect(write, nonce),
                // Acknowledged by memory: by an earlier attempt.
                None => self.effects[index] == 0,
            };
            if lost {
                self.breaks(Broken::Lost);
            }
            if let Some(token) = token {
                self.check_report(token, placed, outcome);
            } else {
                self.refused[index] = 0;
            }
        }
        self.outcomes[usize::from(write)] = Some(outcome);
        let left = if outcome == Outcome::Crashed { 0 } else { left - 1 };
        let write = if left == 0 { write } else { write + 1 };
        self.writers[number] = Writer::new(mode, write, left);
    }

    fn check_report(&mut self, token: Id, placed: usize, outcome: Outcome) {
        let displaced = self.service.version(token).and_then(|version| version.displaced);
        // After a rollback, the labels no longer show what was displaced.
        if !self.service.rolled_back_since(placed) {
            match outcome {
                Outcome::Committed if displaced.is_some() => self.breaks(Broken::Silent),
                Outcome::Displaced { version, .. } if displaced != Some(version) => {
                    self.breaks(Broken::FalseReport);
                }
                _ => {}
            }
        }
        if let Outcome::Displaced { version, foreign: true } = outcome
            && self
                .service
                .version(version)
                .is_some_and(|version| version.content.write != Content::FOREIGN.write)
        {
            self.breaks(Broken::OwnCalledForeign);
        }
    }

    /// Returns true if `version` is one of `tokens`, or an ancestor of one through first slots.
    pub(crate) fn descends(version: Id, tokens: &[Id]) -> bool {
        tokens.iter().any(|token| token.chain().any(|id| id == version))
    }
}
