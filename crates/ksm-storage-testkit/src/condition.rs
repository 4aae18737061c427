use std::fmt;

macro_rules! conditions {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// A condition of a store, or of the connection to it.
        ///
        /// Cases impose it through [`Store::impose`](crate::Store::impose); for a store over TCP, the suite's
        /// [`Proxy`](crate::Proxy) provides all of them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Condition {
            $($(#[$doc])* $variant,)*
        }

        impl Condition {
            /// Every condition.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name of a store under this condition in reports.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

conditions! {
    /// Something is stored but cannot be read: replies are garbled, permission is missing, or it has another format.
    Unreadable = "unreadable",
    /// The store refuses every request, as if permission were missing. Its message may quote the request.
    Refused = "refusing",
    /// Connections are refused or closed at once.
    Unreachable = "unreachable",
    /// Requests are carried out but never answered.
    Silent = "silent",
    /// Requests are carried out and answered one byte at a time, taking longer than a call may.
    Slow = "slow",
    /// Only a part of each request is delivered, then the connection is closed.
    RequestCut = "cutting requests",
    /// Requests are carried out, but only a part of each reply is delivered, then the connection is closed.
    ReplyCut = "cutting replies",
    /// Like [`ReplyCut`](Self::ReplyCut), for a single reply: another attempt succeeds.
    OneReplyCut = "cutting one reply",
    /// Requests are held back, and are delivered when the condition ends.
    Held = "holding requests back",
    /// The store can be read, but has no space for writes.
    Full = "full",
}

impl Condition {
    /// Returns true if a proxy can impose the condition.
    pub(crate) fn is_of_connections(self) -> bool {
        self != Self::Full
    }

    pub(crate) fn refuses(self) -> bool {
        matches!(self, Self::Refused | Self::Unreachable)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Returned by a fixture that does not support what a case needs. The case is then reported as not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOffered;
