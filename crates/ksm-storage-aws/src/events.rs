//! The events of this crate. A test compares them with `docs/reference.md`.
#![expect(clippy::disallowed_methods, reason = "no other module logs")]

use std::time::Duration;

use ksm_storage_core::{Location, Version};
use tracing::{debug, info, warn};

pub(crate) enum Event<'a> {
    Fallback { reason: &'a str },
    Unrelated { location: &'a Location, version: &'a Version, known: &'a Version },
    Created { location: &'a Location },
    Resolved { region: Option<&'a str> },
    Throttled { location: &'a Location, attempt: u32, wait: Duration },
}

impl Event<'_> {
    pub(crate) fn log(self) {
        match self {
            Self::Fallback { reason } => {
                warn!(reason, "fallback: the instance has no credentials, trying the default chain");
            }
            Self::Unrelated { location, version, known } => {
                warn!(
                    %location, %version, %known,
                    "unrelated: the current version does not descend from the last one known here"
                );
            }
            Self::Created { location } => info!(%location, "created"),
            Self::Resolved { region } => debug!(region, "configuration resolved"),
            Self::Throttled { location, attempt, wait } => debug!(%location, attempt, ?wait, "throttled"),
        }
    }
}
