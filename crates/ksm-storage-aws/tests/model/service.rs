//! One secret, as the service keeps it: versions by id, and what the labels are on.

use std::fmt;

/// The most writers of a model.
pub(crate) const WRITERS: usize = 3;

/// A version's id. That of a successor is fixed by the version and the slot, four bits each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(u32);

impl Id {
    /// The version of a secret without a value.
    pub(crate) const NO_VALUE: Self = Self(0);
    pub(crate) const FIRST: Self = Self(0xE);
    pub(crate) const FOREIGN: Self = Self(0xF);

    pub(crate) fn slot(self, number: u8) -> Self {
        Self(self.0 << 4 | u32::from(number))
    }
}

/// `V` is the first version, `F` the foreign one, `0` none; `V.1.2` is the second slot of the first slot of `V`.
impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NO_VALUE => f.write_str("0"),
            Self::FIRST => f.write_str("V"),
            Self::FOREIGN => f.write_str("F"),
            Self(id) => write!(f, "{:?}.{}", Self(id >> 4), id & 0xF),
        }
    }
}

/// Who made the bytes of a version, and on which attempt: what a nonce stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Author {
    Other,
    Writer { number: u8, attempt: u8 },
}

/// A counter, told apart by who added to it; writers themselves see the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Content {
    pub(crate) author: Author,
    pub(crate) added: [u8; WRITERS],
}

impl Content {
    pub(crate) const NOTHING: Self = Self { author: Author::Other, added: [0; WRITERS] };

    /// Whether the bytes are the same; without nonces those of equal sums are.
    fn is(&self, other: &Self, nonces: bool) -> bool {
        let sum = |content: &Self| content.added.iter().sum::<u8>();
        if nonces { self == other } else { sum(self) == sum(other) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Version {
    pub(crate) id: Id,
    pub(crate) content: Content,
    /// Whether it was ever current: what an operator may roll back to.
    pub(crate) promoted: bool,
    /// What was current instead of the version that its writer had loaded.
    pub(crate) displaced: Option<Id>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Service {
    /// In the order of their ids.
    pub(crate) versions: Vec<Version>,
    /// `AWSCURRENT`
    pub(crate) current: Id,
    /// `AWSPREVIOUS`
    pub(crate) previous: Id,
    /// The private label.
    pub(crate) staged: Option<Id>,
}

/// What a put comes to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// Other bytes are under the id.
    Exists,
    /// It has just become current, in the place of this version.
    Current { instead_of: Id },
    /// The bytes are there: under the private label, or since an earlier put.
    There,
}

impl Service {
    pub(crate) fn empty() -> Self {
        Self { versions: Vec::new(), current: Id::NO_VALUE, previous: Id::NO_VALUE, staged: None }
    }

    pub(crate) fn with_value() -> Self {
        let mut service = Self::empty();
        service.put(Id::FIRST, Content::NOTHING, false, true);
        service
    }

    pub(crate) fn version(&self, id: Id) -> Option<&Version> {
        self.versions.iter().find(|version| version.id == id)
    }

    pub(crate) fn version_mut(&mut self, id: Id) -> Option<&mut Version> {
        self.versions.iter_mut().find(|version| version.id == id)
    }

    /// Whether these bytes are under the id; `None` if nothing is.
    pub(crate) fn holds(&self, id: Id, content: &Content, nonces: bool) -> Option<bool> {
        self.version(id).map(|version| version.content.is(content, nonces))
    }

    /// `PutSecretValue`. The first value becomes current whatever its label.
    pub(crate) fn put(&mut self, id: Id, content: Content, staged: bool, nonces: bool) -> Stored {
        match self.holds(id, &content, nonces) {
            Some(true) => return Stored::There,
            Some(false) => return Stored::Exists,
            None => {}
        }
        let first = self.versions.is_empty();
        let at = self.versions.partition_point(|version| version.id < id);
        self.versions.insert(at, Version { id, content, promoted: false, displaced: None });
        if staged {
            self.staged = Some(id);
        }
        if staged && !first {
            return Stored::There;
        }
        Stored::Current { instead_of: self.make_current(id) }
    }

    /// `UpdateSecretVersionStage` for `AWSCURRENT`: whether `from` had it.
    pub(crate) fn move_current(&mut self, from: Id, to: Id) -> bool {
        let had = self.current == from;
        if had {
            self.make_current(to);
        }
        had
    }

    /// `AWSPREVIOUS` follows `AWSCURRENT`. Gives the version that had it.
    pub(crate) fn make_current(&mut self, id: Id) -> Id {
        let before = std::mem::replace(&mut self.current, id);
        self.previous = before;
        if let Some(version) = self.version_mut(id) {
            version.promoted = true;
        }
        before
    }
}
