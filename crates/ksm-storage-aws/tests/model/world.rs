//! All that there is: the secret, its writers, requests that are late, and what may still go wrong.

use ksm_storage_aws::Concurrency;

use crate::{
    fault::Fault,
    service::{Content, Id, Service, Stored},
    writer::{Late, Outcome, Writer},
};

/// How often each thing may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    /// A request is carried out, and its reply lost.
    pub(crate) lost: u8,
    /// A request arrives after its sender has given up on it, or never.
    pub(crate) late: u8,
    /// A read of the current version returns the one before.
    pub(crate) stale: u8,
    /// A put takes a second, though nobody waits for its slot.
    pub(crate) slow: u8,
    /// A stager ends between put and move.
    pub(crate) crash: u8,
    /// Another program writes without looking.
    pub(crate) foreign: u8,
    /// An operator moves `AWSCURRENT` back to an earlier version.
    pub(crate) rollback: u8,
}

/// A promise that was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Broken {
    /// An own version was displaced though nobody foreign had come between load and store of any write; or a write
    /// was acknowledged that never took effect.
    Lost,
    /// A logical write took effect twice.
    Twice,
    /// A write took effect that its caller was told was refused.
    RefusedApplied,
    /// Something was displaced by a write that was acknowledged without a word of it.
    Silent,
    /// What was reported as displaced was not displaced by this write.
    FalseReport,
    /// A strict writer displaced something.
    Inexact,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) service: Service,
    pub(crate) writers: Vec<Writer>,
    pub(crate) late: Vec<Late>,
    pub(crate) budget: Budget,
    pub(crate) broken: Option<Broken>,
}

impl World {
    /// A put or a move reaches the service.
    pub(crate) fn arrive(&mut self, request: &Late, mode: Concurrency, fault: Fault) -> Stored {
        let &Late { expected, token, content, .. } = request;
        let before = self.service.current;
        let stored = match content {
            Some(content) => self.service.put(token, content, mode == Concurrency::Strict, fault.nonces()),
            None if self.service.move_current(expected, token) => Stored::Current { instead_of: before },
            None => Stored::Exists,
        };
        if let Stored::Current { instead_of } = stored {
            self.took_effect(request, instead_of, mode);
        }
        stored
    }

    fn took_effect(&mut self, request: &Late, instead_of: Id, mode: Concurrency) {
        // Once something foreign was displaced, there are two lines of versions to build on.
        let excused =
            request.meddled || self.service.versions.iter().any(|version| version.displaced.is_some());
        let writer = &mut self.writers[request.writer];
        writer.effects += 1;
        let displaced = (instead_of != request.expected).then_some(instead_of);
        let broken = if writer.effects > 1 {
            Some(Broken::Twice)
        } else if writer.outcome() == Some(Outcome::NotApplied) {
            Some(Broken::RefusedApplied)
        } else if displaced.is_some() && mode == Concurrency::Strict {
            Some(Broken::Inexact)
        } else if displaced.is_some() && !excused {
            Some(Broken::Lost)
        } else {
            None
        };
        self.broken = self.broken.or(broken);
        if let Some(version) = self.service.version_mut(request.token) {
            version.displaced = displaced;
        }
    }

    /// An operator moves `AWSCURRENT` back.
    pub(crate) fn roll_back(&mut self, to: Id) {
        self.service.make_current(to);
        for writer in self.writers.iter_mut().filter(|writer| writer.outcome().is_none()) {
            writer.rolled_back |= writer.effects > 0;
        }
        self.meddle();
    }

    /// Another program writes without looking.
    pub(crate) fn overwrite(&mut self) {
        self.service.put(Id::FOREIGN, Content::NOTHING, false, true);
        self.meddle();
    }

    /// Writers that have loaded do not know of it.
    fn meddle(&mut self) {
        for writer in self.writers.iter_mut().filter(|writer| writer.outcome().is_none()) {
            writer.meddled = true;
        }
        for late in &mut self.late {
            late.meddled = true;
        }
    }
}
