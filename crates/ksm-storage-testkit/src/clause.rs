use std::fmt;

macro_rules! clauses {
    ($($variant:ident = $text:literal,)*) => {
        /// A clause of the storage contract, which the project's README has in full.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(clippy::exhaustive_enums)]
        pub enum Clause {
            $(#[doc = $text] $variant,)*
        }

        impl Clause {
            /// Every clause.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// What the clause is about, in a few words.
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
    C8 = "what changes nothing stores nothing",
    C9 = "a dropped or unknown write is made once or never",
    C10 = "unknown keys and values survive",
    C11 = "`delete_all` stores `{}`",
    C12 = "nothing is created unasked",
    C13 = "no secret leaks",
    C14 = "every call ends",
    C15 = "refusals come before I/O",
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}"))
    }
}
