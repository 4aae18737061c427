//! One mapping from what a call came to, to what the caller is told. Nothing here may hold a byte of a payload.

use ksm_storage_core::{Error, ErrorKind, Location, Outcome};

/// To be removed with its last use.
pub(crate) fn not_implemented(location: Location) -> Error {
    Error::new(ErrorKind::Unsupported, "the backend is not implemented yet")
        .with_outcome(Outcome::NotApplied)
        .with_location(location)
}
