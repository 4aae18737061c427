//! The events of this crate. A test compares them with `docs/reference.md`.
#![expect(clippy::disallowed_methods, reason = "no other module logs")]

use std::time::Duration;

use ksm_storage_core::{Error as StorageError, Location, Version};
use tracing::{debug, warn};

use crate::Error;

pub(crate) enum Event<'a> {
    Tolerated { error: &'a StorageError },
    Unsaved { error: &'a StorageError },
    Ignored { version: &'a Version, error: &'a Error },
    Retry { error: &'a StorageError, wait: Duration },
    OtherKeyPair,
}

impl Event<'_> {
    pub(crate) fn log(self, location: &Location) {
        match self {
            Self::Tolerated { error } => {
                warn!(
                    %location, %error,
                    "storing a change of the client's configuration ended in an error"
                );
            }
            Self::Unsaved { error } => {
                warn!(
                    %location, %error,
                    "a change of the client's configuration is not stored yet; the next call tries again"
                );
            }
            Self::Ignored { version, error } => {
                warn!(
                    %location, %version, %error,
                    "the document that replaced the client's configuration is ignored"
                );
            }
            Self::Retry { error, wait } => {
                warn!(%location, %error, ?wait, "the application key is not stored yet; trying again");
            }
            Self::OtherKeyPair => debug!(%location, "another client stored a key pair first"),
        }
    }
}
