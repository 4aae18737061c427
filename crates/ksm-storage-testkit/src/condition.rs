use std::fmt;

macro_rules! conditions {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// A condition that a store, or the way to it, may be in.
        ///
        /// The cases that need one ask for it by [`Store::impose`](crate::Store::impose); for a store over TCP, a
        /// [`Proxy`](crate::Proxy) in the kit provides all of them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Condition {
            $($(#[$doc])* $variant,)*
        }

        impl Condition {
            /// Every condition.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in reports for a store in this condition.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

conditions! {
    /// The content is there and cannot be read: replies are garbled, permission is missing, or the content is of another
    /// kind.
    Unreadable = "unreadable",
    /// The store refuses every request, as it does without permission. Its message may quote the request.
    Refused = "refusing",
    /// Connections are refused or closed at once.
    Unreachable = "unreachable",
    /// Requests are carried out and never answered.
    Silent = "silent",
    /// Requests are carried out and answered one byte at a time, in more time than a call may take.
    Slow = "slow",
    /// Requests are delivered in part, then the connection is closed.
    RequestCut = "cutting requests",
    /// Requests are carried out and answered in part, then the connection is closed.
    ReplyCut = "cutting replies",
    /// As [`ReplyCut`](Self::ReplyCut), but for one reply only: another attempt succeeds.
    OneReplyCut = "cutting one reply",
    /// Requests are held back, and delivered when the condition ends.
    Held = "holding requests back",
    /// The store accepts reads and has no space for a write.
    Full = "full",
}

impl Condition {
    /// Returns true if a proxy can bring it about.
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

/// The answer of a fixture that cannot bring about what a case asks for. The case is then not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOffered;
