//! Displacement check: finds the version that a plain put took `AWSCURRENT` from. A move is exact and needs no check.

use super::{Answer, Author, Labels, Progress, Request, VersionId};

/// The check that follows a plain put under `token` on `base`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Displacement<I> {
    pub(crate) base: I,
    pub(crate) token: I,
    pub(crate) step: CheckStep<I>,
}

/// The next read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CheckStep<I> {
    Base,
    Previous,
    Suspect(I),
    Token { displaced: I, author: Author },
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Finding<I> {
    /// The put took the label from its base.
    Nothing,
    /// The put took the label from this version.
    Displaced { version: I, author: Author },
    /// Another write followed, so the labels can no longer decide.
    Followed,
    /// A read failed or was stale; another check may decide.
    Inconclusive,
}

impl<I: VersionId> Displacement<I> {
    pub(crate) fn new(base: I, token: I) -> Self {
        // Before the first value, there is no version to read.
        let step = if base.is_no_value() { CheckStep::Previous } else { CheckStep::Base };
        Self { base, token, step }
    }

    /// The next call.
    pub(crate) fn request(&self) -> Request<I> {
        match &self.step {
            CheckStep::Base => Request::Get(self.base.clone()),
            CheckStep::Previous => Request::GetPrevious,
            CheckStep::Suspect(suspect) => Request::Get(suspect.clone()),
            CheckStep::Token { .. } => Request::Get(self.token.clone()),
        }
    }

    /// Processes the answer to that call.
    pub(crate) fn answer(self, answer: Answer<I>) -> Progress<Self, Finding<I>> {
        let found = match answer {
            Answer::Found(found) => found,
            Answer::Missing if self.step == CheckStep::Previous && self.base.is_no_value() => {
                return Progress::Done(Finding::Nothing);
            }
            _ => return Progress::Done(Finding::Inconclusive),
        };
        match self.step.clone() {
            // The label went directly from the base to our version. The version labelled `AWSPREVIOUS` may be an
            // ancestor.
            CheckStep::Base if found.labels == Labels::Previous => Progress::Done(Finding::Nothing),
            CheckStep::Base => self.to(CheckStep::Previous),
            CheckStep::Previous if self.is_descendant(&found.id) => Progress::Done(Finding::Followed),
            CheckStep::Previous if self.is_stale(&found.id) => Progress::Done(Finding::Inconclusive),
            CheckStep::Previous => self.to(CheckStep::Suspect(found.id)),
            CheckStep::Suspect(displaced) if found.labels == Labels::Previous => {
                self.to(CheckStep::Token { displaced, author: found.author })
            }
            CheckStep::Token { displaced: version, author } if found.labels == Labels::Current => {
                Progress::Done(Finding::Displaced { version, author })
            }
            CheckStep::Suspect(_) | CheckStep::Token { .. } => Progress::Done(Finding::Inconclusive),
        }
    }

    /// Our version or one built on it: it became current after ours, so ours did not displace it.
    fn is_descendant(&self, version: &I) -> bool {
        *version == self.token || self.token.chain().any(|parent| version.is_slot_of(&parent))
    }

    /// The base or its parent: only a version before ours has it as previous.
    fn is_stale(&self, version: &I) -> bool {
        *version == self.base || self.base.is_slot_of(version)
    }

    fn to(self, step: CheckStep<I>) -> Progress<Self, Finding<I>> {
        Progress::Next(Self { step, ..self })
    }
}
