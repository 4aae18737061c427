//! One secret as the service stores it, with the full history of its labels.

use std::fmt;

use crate::protocol::{Author, Labels, Placement, VersionId};

/// The maximum number of logical writes in a world.
pub(crate) const WRITES: usize = 4;
/// The author of versions not written by this project.
pub(crate) const NOBODY: u8 = 0xFF;

/// A version ID. A successor's ID is that of its base with four more bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(pub(crate) u64);

impl Id {
    pub(crate) const NO_VALUE: Self = Self(0);
    pub(crate) const FIRST: Self = Self(0xE);
    pub(crate) const FOREIGN: Self = Self(0xF);

    pub(crate) fn parent(self) -> Self {
        Self(self.0 >> 4)
    }
}

impl VersionId for Id {
    const SLOTS: u8 = 4;
    const GENERATIONS: usize = 3;

    fn slot(&self, number: u8) -> Self {
        assert_eq!(self.0 >> 60, 0, "the world is too deep for its IDs");
        Self(self.0 << 4 | u64::from(number))
    }

    fn is_no_value(&self) -> bool {
        *self == Self::NO_VALUE
    }
}

/// `V` is the first version, `F` a foreign one; `V.1.2` is the second slot of the first slot of `V`.
impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NO_VALUE => f.write_str("0"),
            Self::FIRST => f.write_str("V"),
            Self::FOREIGN => f.write_str("F"),
            Self(id) => write!(f, "{:?}.{}", self.parent(), id & 0xF),
        }
    }
}

/// The bytes of a version: a counter, split by the logical write that incremented it, and a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Content {
    pub(crate) write: u8,
    pub(crate) nonce: u8,
    pub(crate) placement: Placement,
    pub(crate) added: [u8; WRITES],
}

impl Content {
    pub(crate) const FOREIGN: Self =
        Self { write: NOBODY, nonce: 0, placement: Placement::Plain, added: [0; WRITES] };

    pub(crate) fn author(&self) -> Author {
        if self.write == NOBODY { Author::Foreign } else { Author::Project(self.placement) }
    }

    /// Compares the bytes. Without nonces, equal sums are equal.
    pub(crate) fn is(&self, other: &Self, nonces: bool) -> bool {
        let sum = |content: &Self| content.added.iter().sum::<u8>();
        if nonces { (self.write, self.nonce) == (other.write, other.nonce) } else { sum(self) == sum(other) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Version {
    pub(crate) id: Id,
    pub(crate) content: Content,
    /// The first moment at which the version existed.
    pub(crate) born: usize,
    /// True once the version has been current, so that an operator may roll back to it.
    pub(crate) was_current: bool,
    /// The version from which its commit took the label, unless that was its base.
    pub(crate) displaced: Option<Id>,
}

/// The cause of a move of `AWSCURRENT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Cause {
    Own,
    /// A commit of ours that displaced a version. From here on there are two lines of versions.
    Fork,
    Foreign,
    Rollback,
    /// A late delivery that took effect because of a rollback.
    Revival,
}

/// The versions that hold the labels at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Moment {
    pub(crate) current: Id,
    pub(crate) previous: Id,
    pub(crate) cause: Cause,
}

impl Moment {
    pub(crate) fn labels_of(&self, id: Id) -> Labels {
        match id {
            _ if id == self.current => Labels::Current,
            _ if id == self.previous => Labels::Previous,
            _ => Labels::Neither,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Service {
    /// Sorted by ID.
    pub(crate) versions: Vec<Version>,
    /// Every moment so far, the present last.
    pub(crate) moments: Vec<Moment>,
}

impl Service {
    pub(crate) fn empty() -> Self {
        let nothing = Moment { current: Id::NO_VALUE, previous: Id::NO_VALUE, cause: Cause::Own };
        Self { versions: Vec::new(), moments: vec![nothing] }
    }

    pub(crate) fn with_value() -> Self {
        let first = Moment { current: Id::FIRST, previous: Id::NO_VALUE, cause: Cause::Own };
        let mut service = Self { versions: Vec::new(), moments: vec![first] };
        service.insert(Id::FIRST, Content::FOREIGN, 0);
        service.versions[0].was_current = true;
        service
    }

    pub(crate) fn now(&self) -> usize {
        self.moments.len() - 1
    }

    pub(crate) fn current(&self) -> Id {
        self.moments[self.now()].current
    }

    pub(crate) fn version(&self, id: Id) -> Option<&Version> {
        self.versions.iter().find(|version| version.id == id)
    }

    pub(crate) fn version_mut(&mut self, id: Id) -> Option<&mut Version> {
        self.versions.iter_mut().find(|version| version.id == id)
    }

    pub(crate) fn insert(&mut self, id: Id, content: Content, born: usize) {
        let at = self.versions.partition_point(|version| version.id < id);
        self.versions.insert(at, Version { id, content, born, was_current: false, displaced: None });
    }

    /// Moves `AWSCURRENT`; `AWSPREVIOUS` follows.
    pub(crate) fn make_current(&mut self, id: Id, cause: Cause) {
        let previous = self.current();
        self.moments.push(Moment { current: id, previous, cause });
        if let Some(version) = self.version_mut(id) {
            version.was_current = true;
        }
    }

    pub(crate) fn rolled_back(&self) -> bool {
        self.rolled_back_since(0)
    }

    pub(crate) fn rolled_back_since(&self, moment: usize) -> bool {
        let back = |moment: &Moment| matches!(moment.cause, Cause::Rollback | Cause::Revival);
        self.moments.iter().skip(moment + 1).any(back)
    }

    /// Returns true unless every change was a commit of ours on its base.
    pub(crate) fn disturbed(&self) -> bool {
        self.moments.iter().any(|moment| moment.cause != Cause::Own)
    }

    /// The latest moments with distinct values of `what`, back to `since`.
    pub(crate) fn distinct<T: PartialEq>(&self, since: usize, what: impl Fn(&Moment) -> T) -> Vec<usize> {
        let mut found: Vec<usize> = Vec::new();
        for at in (since..=self.now()).rev() {
            let value = what(&self.moments[at]);
            if found.iter().all(|&other| what(&self.moments[other]) != value) {
                found.push(at);
            }
        }
        found
    }
}
