//! The reference has a row for each event and default.

#[path = "../../ksm-storage-core/tests/reference/mod.rs"]
mod reference;

use ksm_storage_core::Location;

use self::reference::{assert_defaults, assert_events, time, variants};
use crate::{events::Event, leftover, lock, paths, read};

#[test]
fn reference_lists_events() {
    let location = &Location::new("file", "a");
    let events = variants! { Event: Leftover { location, path: &"b" } };
    assert_events(|| events.into_iter().for_each(Event::log));
}

#[test]
fn reference_states_defaults() {
    let defaults = [
        ("file: waiting for the lock", time(lock::PATIENCE)),
        ("file: the age at which", time(leftover::PATIENCE)),
        ("file: listed leftover files", paths::MAX_LEFTOVERS.to_string()),
        ("file: attempts to read", format!("{} times", read::ATTEMPTS)),
    ];
    assert_defaults(|limit| limit.starts_with("file: "), defaults);
}
