use std::{fmt, sync::Arc};

use crate::text::write_line;

/// The location of a configuration: the kind of backend and an address. Contains no secret.
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
    /// Separates the kind from the address.
    separator: &'static str,
}

impl Location {
    /// A location of `kind`, the backend's name such as `memory`, and `address`, which identifies one store of that
    /// kind.
    pub fn new(kind: &'static str, address: impl Into<Arc<str>>) -> Self {
        Self { kind, address: address.into(), separator: "://" }
    }

    /// Like [`new`](Self::new), but displayed without `//` before the address.
    pub fn opaque(kind: &'static str, address: impl Into<Arc<str>>) -> Self {
        Self { kind, address: address.into(), separator: ":" }
    }

    /// The backend's name.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The address that identifies this store among those of its kind.
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
