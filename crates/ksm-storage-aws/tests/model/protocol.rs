//! The conditional write as `src/backend.rs` does it, one step per call, below a handle that loads anew on a conflict.

use ksm_storage_aws::Concurrency;

use crate::{
    fault::Fault,
    service::{Id, Stored},
    world::{Broken, World},
    writer::{At, Late, Outcome, Wait, Writer},
};

/// How many slots of one version a writer tries.
const SLOTS: u8 = 4;

/// One writer's view: its number, its mode, and the world.
pub(crate) struct Step<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) number: usize,
    pub(crate) mode: Concurrency,
    pub(crate) fault: Fault,
    /// How many conflicts end a logical write.
    pub(crate) conflicts: u8,
}

impl Step<'_> {
    fn me(&mut self) -> &mut Writer {
        &mut self.world.writers[self.number]
    }

    pub(crate) fn at(&self) -> At {
        self.world.writers[self.number].at
    }

    fn go(&mut self, at: At) {
        self.me().at = at;
    }

    /// The next step, with replies. A stale reader gets the version before the current one.
    pub(crate) fn proceed(&mut self, stale: bool) {
        let service = &self.world.service;
        let current = if stale { service.previous } else { service.current };
        let writer = &self.world.writers[self.number];
        let (expected, token) = (writer.expected, writer.token());
        match writer.at {
            At::Load => self.begin(current),
            At::Put => {
                let arrived = self.put();
                self.placed(arrived);
            }
            At::Look => self.look(),
            At::Staged { promoted } => self.promote(promoted),
            At::Move => {
                if self.move_current() {
                    self.end(Outcome::Committed);
                } else {
                    self.go(At::Refused);
                }
            }
            At::LookMoved => {
                let promoted = service.current == token || service.previous == token;
                self.end(if promoted { Outcome::Committed } else { Outcome::Unknown });
            }
            At::Refused => self.conflict((current != expected).then_some(current)),
            At::Previous => self.verify(),
            At::Current { previous } => {
                let ours = current == token || self.fault == Fault::BelievePrevious;
                let displaced = if ours && previous != token {
                    Outcome::Displaced(previous)
                } else {
                    Outcome::Unverified
                };
                self.end(displaced);
            }
            At::Taken(_) if current != expected => self.conflict(Some(current)),
            At::Taken(wait) => self.go(At::Scan { wait, slot: wait.first }),
            At::Scan { wait, slot } => self.scan(wait, slot),
            At::Pause(wait) => self.go(At::Taken(wait)),
            At::Done(_) => {}
        }
    }

    /// A store on `expected`, from its first slot on.
    fn begin(&mut self, expected: Id) {
        let added = self.world.service.version(expected).map_or([0; 3], |version| version.content.added);
        let writer = self.me();
        (writer.expected, writer.added, writer.meddled) = (expected, added, false);
        self.try_slot(1);
    }

    fn try_slot(&mut self, slot: u8) {
        if slot > SLOTS {
            return self.end(Outcome::NotApplied);
        }
        let writer = self.me();
        (writer.slot, writer.slow, writer.at) = (slot, false, At::Put);
    }

    /// The put arrives.
    pub(crate) fn put(&mut self) -> Stored {
        let request = self.put_request();
        self.world.arrive(&request, self.mode, self.fault)
    }

    pub(crate) fn put_request(&self) -> Late {
        let content = self.world.writers[self.number].content(self.number);
        Late { content: Some(content), ..self.move_request() }
    }

    /// The move arrives: whether it is carried out.
    pub(crate) fn move_current(&mut self) -> bool {
        let request = self.move_request();
        matches!(self.world.arrive(&request, self.mode, self.fault), Stored::Current { .. })
    }

    pub(crate) fn move_request(&self) -> Late {
        let writer = &self.world.writers[self.number];
        let (expected, token, meddled) = (writer.expected, writer.token(), writer.meddled);
        Late { writer: self.number, expected, token, meddled, content: None }
    }

    /// What a put is answered, or a look at its slot shows.
    fn placed(&mut self, stored: Stored) {
        let service = &self.world.service;
        let token = self.world.writers[self.number].token();
        let current = service.current == token;
        let promoted = current || service.previous == token;
        let slot = self.me().slot;
        match (stored, self.mode) {
            (Stored::Exists, _) => self.go(At::Taken(Wait::after(slot))),
            _ if !current && self.fault == Fault::SupersededIsConflict => self.conflict(None),
            (_, Concurrency::Optimistic) if self.fault == Fault::NoVerification => {
                self.end(Outcome::Committed);
            }
            (_, Concurrency::Optimistic) => self.go(At::Previous),
            (_, Concurrency::Strict) => self.go(At::Staged { promoted }),
        }
    }

    /// After a lost reply. The look itself is always answered.
    fn look(&mut self) {
        let writer = &self.world.writers[self.number];
        let (expected, token, content) = (writer.expected, writer.token(), writer.content(self.number));
        match self.world.service.holds(token, &content, self.fault.nonces()) {
            Some(true) => self.placed(Stored::There),
            Some(false) => self.placed(Stored::Exists),
            None if self.fault == Fault::UnansweredIsConflict => self.conflict(None),
            None if self.mode == Concurrency::Strict && expected != Id::NO_VALUE => {
                self.end(Outcome::NotApplied);
            }
            None => self.end(Outcome::Unknown),
        }
    }

    fn promote(&mut self, promoted: bool) {
        let (slow, expected) = (self.me().slow, self.me().expected);
        if slow && self.fault == Fault::SlowBeforePromoted {
            self.conflict(None);
        } else if promoted {
            self.end(Outcome::Committed);
        } else if expected == Id::NO_VALUE && self.fault != Fault::UnlabelledIsConflict {
            self.end(Outcome::Unknown);
        } else if expected == Id::NO_VALUE || (slow && self.fault != Fault::NeverSlow) {
            self.conflict(None);
        } else {
            self.go(At::Move);
        }
    }

    fn verify(&mut self) {
        let previous = self.world.service.previous;
        if previous == self.me().expected {
            self.end(Outcome::Committed);
        } else {
            self.go(At::Current { previous });
        }
    }

    fn scan(&mut self, wait: Wait, slot: u8) {
        let id = self.me().expected.slot(slot);
        let service = &self.world.service;
        if service.version(id).is_some() {
            if service.current == id {
                return self.conflict(None);
            }
            return self.go(At::Scan { wait, slot: slot + 1 });
        }
        if slot == wait.first {
            return self.conflict(None);
        }
        let next = wait.next.unwrap_or(slot);
        match self.fault {
            Fault::NoWait => self.try_slot(slot),
            Fault::PassTakenMeanwhile if wait.elapsed => self.try_slot(slot),
            _ if wait.elapsed => self.try_slot(next),
            _ => self.go(At::Pause(Wait { next: Some(next), ..wait })),
        }
    }

    /// The first conflict's reading is built on at once; after later ones there is a pause and a load.
    fn conflict(&mut self, current: Option<Id>) {
        let limit = self.conflicts;
        let writer = self.me();
        writer.conflicts += 1;
        match current {
            _ if writer.conflicts >= limit => self.end(Outcome::NotApplied),
            Some(current) if writer.conflicts == 1 => self.begin(current),
            _ => {
                *writer = Writer { conflicts: writer.conflicts, effects: writer.effects, ..Writer::new() };
            }
        }
    }

    /// The caller is told, and may see that it is wrong.
    fn end(&mut self, outcome: Outcome) {
        let writer = &self.world.writers[self.number];
        let displaced = self.world.service.version(writer.token()).and_then(|version| version.displaced);
        let broken = match outcome {
            _ if outcome.is_committed() && writer.effects == 0 => Some(Broken::Lost),
            Outcome::NotApplied if writer.effects > 0 => Some(Broken::RefusedApplied),
            // Labels that an operator has moved meanwhile tell nothing of what was before.
            _ if writer.rolled_back => None,
            Outcome::Committed if displaced.is_some() => Some(Broken::Silent),
            Outcome::Displaced(told) if displaced != Some(told) => Some(Broken::FalseReport),
            _ => None,
        };
        self.world.broken = self.world.broken.or(broken);
        self.me().end(outcome);
    }
}
