//! The service's replies in terms of the write protocol.

use ksm_storage_core::{Outcome, Payload, Version};

use crate::{
    client::{CURRENT, CallError, PREVIOUS, SecretVersion},
    error::classify,
    protocol::{Answer, Author, FoundVersion, Labels},
    slot,
};

impl CallError {
    /// The protocol's answer for a failed put or move, where `conflict` is the error code of an unmet condition.
    pub(crate) fn answer<I>(&self, conflict: &str) -> Answer<I> {
        let sent = self.unanswered || self.sent;
        match classify(self).1 {
            _ if self.is(conflict) => Answer::Conflict,
            _ if !sent => Answer::NotSent,
            Outcome::NotApplied => Answer::Refused,
            Outcome::Unknown | Outcome::Applied => Answer::Unanswered,
        }
    }
}

pub(crate) fn seen(found: &SecretVersion, author: Author) -> FoundVersion<Version> {
    FoundVersion { id: Version::new(found.id.as_str()), labels: labels(&found.labels), author }
}

pub(crate) fn author(value: &Payload) -> Author {
    slot::placement(value).map_or(Author::Foreign, Author::Project)
}

pub(crate) fn labels(labels: &[String]) -> Labels {
    let has = |label| labels.iter().any(|other| other == label);
    if has(CURRENT) {
        Labels::Current
    } else if has(PREVIOUS) {
        Labels::Previous
    } else {
        Labels::Neither
    }
}
