use std::{fmt, sync::Arc};

use crate::text::write_line;

/// Where a configuration lives: the kind of backend and the address within it. Never a secret.
///
/// ```
/// use ksm_storage_core::Location;
///
/// assert_eq!(Location::new("aws-sm", "us-east-1/ksm-config").to_string(), "aws-sm://us-east-1/ksm-config");
/// assert_eq!(Location::opaque("env", "KSM_CONFIG").to_string(), "env:KSM_CONFIG");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    kind: &'static str,
    address: Arc<str>,
    /// Between the kind and the address.
    separator: &'static str,
}

impl Location {
    /// `kind` is the backend's name, such as `memory`; `address` is what tells two stores of that kind apart.
    pub fn new(kind: &'static str, address: impl Into<Arc<str>>) -> Self {
        Self { kind, address: address.into(), separator: "://" }
    }

    /// As [`new`](Self::new), for an address that is displayed without `//` in front of it.
    pub fn opaque(kind: &'static str, address: impl Into<Arc<str>>) -> Self {
        Self { kind, address: address.into(), separator: ":" }
    }

    /// The backend's name.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The identity of this store among those of its kind.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.kind, self.separator)?;
        write_line(f, &self.address)
    }
}
