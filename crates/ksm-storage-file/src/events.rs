//! The events of this crate. A test compares them with `docs/reference.md`.
#![expect(clippy::disallowed_methods, reason = "no other module logs")]

use std::fmt::Display;

use ksm_storage_core::Location;
use tracing::warn;

pub(crate) enum Event<'a> {
    Leftover { location: &'a Location, path: &'a dyn Display },
}

impl Event<'_> {
    pub(crate) fn log(self) {
        match self {
            Self::Leftover { location, path } => {
                warn!(
                    %location, %path,
                    "leftover: a write was killed, or displaced a version of another program"
                );
            }
        }
    }
}
