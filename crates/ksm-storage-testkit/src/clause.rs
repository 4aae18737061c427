use std::fmt;

macro_rules! clauses {
    ($($variant:ident = $text:literal,)*) => {
        /// A clause of the storage contract; `docs/contract.md` has the full text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(clippy::exhaustive_enums)]
        pub enum Clause {
            $(#[doc = $text] $variant,)*
        }

        impl Clause {
            /// Every clause.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The subject of the clause, in a few words.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

clauses! {
    C1 = "opening loads once, and fails with a typed error",
    C2 = "reads come from the last committed snapshot",
    C3 = "`Ok` means acknowledged and visible",
    C4 = "`NotApplied` means not applied",
    C5 = "every commit begins with a load",
    C6 = "own writes are linearizable",
    C7 = "a foreign write is seen or reported",
    C8 = "a write that changes nothing performs no store",
    C9 = "a dropped or `Unknown` write takes effect once or never",
    C10 = "unknown keys and values survive",
    C11 = "`delete_all` stores `{}`",
    C12 = "nothing is created unless requested",
    C13 = "no secret leaks",
    C14 = "every call ends",
    C15 = "forbidden writes are refused before any I/O",
}

impl Clause {
    /// The usual mistake of a backend that fails a case of this clause.
    pub const fn usual_cause(self) -> &'static str {
        match self {
            Self::C1 => {
                "A missing store is an error instead of `Stored::Absent`, or a failure (a refusal, a \
                 timeout, a reply that cannot be read) is mistaken for absence or for `{}`. The payload is \
                 trimmed, re-encoded or left with its framing."
            }
            Self::C2 => {
                "A load is answered from a cache, so that a refresh returns content that was outdated when it \
                 was called. Or one version identifies two contents. Or `confirm` denies the current version, \
                 or confirms an earlier one."
            }
            Self::C3 => {
                "`Committed` is returned before the store has acknowledged, or with another version than \
                 the next load finds. Reads that lag are not declared with `stale_reads`."
            }
            Self::C4 => {
                "`NotApplied` or a conflict is claimed for a failure after which the write may have been \
                 made: a timeout, a lost reply, a request sent twice."
            }
            Self::C5 => "A fault in core, or a backend whose `store` ignores `expected`.",
            Self::C6 => {
                "The condition is checked and the write made in two steps, with nothing that excludes \
                 others in between. The lock belongs to the handle, not to the store. The version is a \
                 hash of the content, a time, or a number that starts again when the store is emptied or \
                 recreated. All absent states share one version. The backend itself retries a conflict."
            }
            Self::C7 => {
                "A foreign write does not change the version, or it is displaced and `Displaced::Nothing` \
                 returned. Or `Displaced::Unverified` is returned where nobody else writes."
            }
            Self::C8 => {
                "`read` of the fixture does not remove the framing; or a load returns bytes other than those \
                 stored."
            }
            Self::C9 => {
                "A write or read takes more than one request, so that a dropped future or a reader in \
                 between sees a part. A reply is read into a buffer of fixed size."
            }
            Self::C10 => "The payload is parsed and serialized again. Store the bytes unchanged.",
            Self::C11 => "An empty object is treated as absent, and removed.",
            Self::C12 => {
                "A load, or the opening of a client, creates the store, or a conflict ends in an \
                 insertion. Or two creations both succeed: creating is a conditional write, too."
            }
            Self::C13 => {
                "A derived `Debug` holds a payload or a credential (as a list of numbers, too), an error \
                 quotes the store's text in its message or source, or an event or a panic holds a \
                 request."
            }
            Self::C14 => {
                "No time limit on a connection, a lock, or a pipe given as a path by mistake. A limit on \
                 each read instead of on the call, or no limit on the number of attempts."
            }
            Self::C15 => "`max_payload` does not count the framing, or is larger than the store accepts.",
        }
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}"))
    }
}
