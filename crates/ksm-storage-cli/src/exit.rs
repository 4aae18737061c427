//! Exit codes. They never change; docs/cli.md has the same table.

use ksm_storage::{ErrorKind, keeper};

/// The result of a command, as the shell sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Success = 0,
    Other = 1,
    Usage = 2,
    NotFound = 3,
    Denied = 4,
    Conflict = 5,
    InvalidConfig = 6,
    Unavailable = 7,
    Refused = 8,
    Unbound = 9,
    /// The same codes as the shell and `env`.
    CannotExecute = 126,
    CommandNotFound = 127,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// The meaning, in the words of docs/cli.md.
    #[cfg(test)]
    fn meaning(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Other => "any other failure",
            Self::Usage => "invalid command line, URL, token or setting",
            Self::NotFound => "the storage, or a value in it, does not exist",
            Self::Denied => "access denied, no usable credentials, or a spent token",
            Self::Conflict => "another writer was faster, or has stored a configuration for another token",
            Self::InvalidConfig => "the stored or imported document is not a configuration",
            Self::Unavailable => "unreachable, timed out or throttled: try again later",
            Self::Refused => "read-only, or refused to replace or remove something",
            Self::Unbound => "the configuration is not bound to Keeper",
            Self::CannotExecute => "`exec`: the program cannot be started",
            Self::CommandNotFound => "`exec`: there is no such program",
        }
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidArgument => Self::Usage,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::AccessDenied | ErrorKind::Credentials => Self::Denied,
            ErrorKind::Conflict | ErrorKind::Displaced => Self::Conflict,
            ErrorKind::InvalidConfig => Self::InvalidConfig,
            ErrorKind::Throttled | ErrorKind::Timeout | ErrorKind::Unavailable => Self::Unavailable,
            ErrorKind::ReadOnly | ErrorKind::Refused => Self::Refused,
            _ => Self::Other,
        }
    }
}

impl From<&keeper::Error> for Exit {
    fn from(error: &keeper::Error) -> Self {
        use keeper::ErrorKind as Kind;
        match (error.kind(), error.storage_error()) {
            (Kind::Storage | Kind::NotSaved, Some(storage)) => storage.kind().into(),
            (Kind::InvalidArgument | Kind::InvalidToken, _) => Self::Usage,
            (Kind::AccessDenied | Kind::TokenSpent, _) => Self::Denied,
            (Kind::TokenMismatch, _) => Self::Conflict,
            (Kind::InvalidConfig, _) => Self::InvalidConfig,
            (Kind::Throttled | Kind::Unreachable, _) => Self::Unavailable,
            (Kind::Unbound, _) => Self::Unbound,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    const ALL: [Exit; 12] = [
        Exit::Success,
        Exit::Other,
        Exit::Usage,
        Exit::NotFound,
        Exit::Denied,
        Exit::Conflict,
        Exit::InvalidConfig,
        Exit::Unavailable,
        Exit::Refused,
        Exit::Unbound,
        Exit::CannotExecute,
        Exit::CommandNotFound,
    ];

    #[test]
    fn documented_exit_codes_are_complete() {
        let mut rows = String::new();
        for exit in ALL {
            writeln!(rows, "| {} | {} |", exit.code(), exit.meaning()).unwrap();
        }
        let page = include_str!("../../../docs/cli.md");
        let (_, rest) =
            page.split_once("<!-- begin exit codes -->\n\n| code | meaning |\n|--:|---|\n").unwrap();
        let (shown, _) = rest.split_once("\n<!-- end exit codes -->").unwrap();
        assert_eq!(shown, rows);
    }
}
