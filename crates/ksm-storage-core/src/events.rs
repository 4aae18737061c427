//! The events and spans of this crate. A test compares them with `docs/reference.md`.
#![expect(clippy::disallowed_methods, reason = "no other module logs")]

use std::time::Duration;

use tracing::{Span, debug, debug_span, field, warn};

use crate::{ConfigKey, Error, Location, Version};

pub(crate) enum Event<'a> {
    Rollback { version: &'a Version },
    DisplacedForeign { version: &'a Version, displaced: &'a Version },
    DisplacedCooperative { version: &'a Version, displaced: &'a Version },
    Unverified { version: &'a Version },
    Unrecognized,
    InvalidKey { key: ConfigKey },
    Stale { error: &'a Error },
    Replica { replica: &'a Location, error: &'a Error },
    Created { version: &'a Version },
    Load { attempt: u32, version: &'a Version, elapsed: Duration },
    Store { attempt: u32, version: &'a Version, elapsed: Duration },
    Conflict { attempt: u32, version: &'a Version, elapsed: Duration },
    Retry { attempt: u32, wait: Duration },
    Refresh { version: &'a Version },
}

impl Event<'_> {
    /// Logs the event. Without a subscriber that wants it, `location` is not called.
    pub(crate) fn log(self, location: impl Fn() -> Location) {
        match self {
            Self::Rollback { version } => {
                warn!(location = %location(), %version, "rollback: an earlier version is current again");
            }
            Self::DisplacedForeign { version, displaced } => {
                warn!(
                    location = %location(), %version, %displaced,
                    "displaced: a foreign version is no longer current"
                );
            }
            Self::DisplacedCooperative { version, displaced } => {
                warn!(
                    location = %location(), %version, %displaced,
                    "displaced: a version of another writer of this project is no longer current"
                );
            }
            Self::Unverified { version } => {
                warn!(
                    location = %location(), %version,
                    "unverified: whether a version was displaced is not known"
                );
            }
            Self::Unrecognized => {
                warn!(
                    location = %location(),
                    "unrecognized: the document has keys, but none of a Keeper configuration"
                );
            }
            Self::InvalidKey { key } => {
                warn!(location = %location(), %key, "invalid key: a credential is truncated or malformed");
            }
            Self::Stale { error } => {
                warn!(
                    location = %location(), %error,
                    "stale: a scheduled refresh has failed; the snapshot stays"
                );
            }
            Self::Replica { replica, error } => {
                warn!(
                    location = %location(), %replica, %error,
                    "replica: the store cannot be reached; opened on a copy, which may be out of date"
                );
            }
            Self::Created { version } => debug!(location = %location(), %version, "created"),
            Self::Load { attempt, version, elapsed } => {
                debug!(location = %location(), attempt, %version, ?elapsed, "load");
            }
            Self::Store { attempt, version, elapsed } => {
                debug!(location = %location(), attempt, %version, ?elapsed, "store");
            }
            Self::Conflict { attempt, version, elapsed } => {
                debug!(location = %location(), attempt, %version, ?elapsed, "conflict");
            }
            Self::Retry { attempt, wait } => debug!(location = %location(), attempt, ?wait, "retry"),
            Self::Refresh { version } => debug!(location = %location(), %version, "refresh"),
        }
    }
}

/// A step of a call, which is a span while it lasts.
pub(crate) enum Step<'a> {
    /// An opening; its location is recorded once it is connected.
    Open,
    OpenOrCreate,
    Load {
        location: &'a dyn Fn() -> Location,
        attempt: u32,
    },
    Store {
        location: &'a dyn Fn() -> Location,
        attempt: u32,
    },
}

impl Step<'_> {
    pub(crate) fn span(self) -> Span {
        match self {
            Self::Open => debug_span!("open", location = field::Empty),
            Self::OpenOrCreate => debug_span!("open_or_create", location = field::Empty),
            Self::Load { location, attempt } => debug_span!("load", location = %location(), attempt),
            Self::Store { location, attempt } => debug_span!("store", location = %location(), attempt),
        }
    }
}
