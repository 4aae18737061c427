//! The runbook has an entry for each kind of error, and the reference a row for each event and default.

use std::time::Duration;

#[path = "../tests/reference/mod.rs"]
mod reference;

use self::reference::{assert_defaults, assert_events, time, variants};
use crate::{
    ConfigDocument, ConfigKey, Error, ErrorKind, Location, OpenOptions, Version, blocking,
    events::{Event, Step},
    storage::{backoff, reader, replica},
};

#[test]
fn runbook_explains_every_kind() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
    let page = std::fs::read_to_string(page).unwrap();
    let kinds = variants! { ErrorKind:
        AccessDenied Conflict Credentials Displaced Interrupted InvalidArgument InvalidConfig NotFound QuotaExceeded ReadOnly Refused Runtime
        Throttled Timeout TooLarge Unavailable Unexpected Unsupported
    };
    for kind in kinds {
        let name = format!("{kind:?}");
        assert!(page.contains(&format!("\n### `{name}`\n")), "no section about {name}");
        let words = Error::new(kind, "message").to_string().replace(": message", "");
        let row = format!("| `{words}` | [`{name}`](#{}) |\n", name.to_lowercase());
        assert!(page.contains(&row), "no row {row}");
    }
    assert_eq!(page.matches("\n### `").count(), kinds.len(), "a section is about no kind");
}

#[test]
fn reference_lists_events() {
    let (version, displaced) = (&Version::new("1"), &Version::new("2"));
    let (attempt, elapsed, wait) = (1, Duration::ZERO, Duration::ZERO);
    let error = &Error::new(ErrorKind::Unavailable, "message");
    let (replica, location) = (&Location::new("memory", "1"), &|| Location::new("memory", "2"));
    let events = variants! { Event:
        Rollback { version }
        DisplacedForeign { version, displaced }
        DisplacedCooperative { version, displaced }
        Unverified { version }
        Unrecognized {}
        InvalidKey { key: ConfigKey::Url }
        Stale { error }
        Replica { replica, error }
        Created { version }
        Load { attempt, version, elapsed }
        Store { attempt, version, elapsed }
        Conflict { attempt, version, elapsed }
        Retry { attempt, wait }
        Refresh { version }
    };
    let steps =
        variants! { Step: Open {} OpenOrCreate {} Load { location, attempt } Store { location, attempt } };
    assert_events(|| {
        for event in events {
            event.log(location);
        }
        for step in steps {
            drop(step.span());
        }
    });
}

#[test]
fn reference_states_defaults() {
    let OpenOptions { deadline, write_attempts, .. } = OpenOptions::default();
    let share = replica::patience(Duration::from_secs(3)).as_secs();
    let largest = ConfigDocument::MAX_LEN;
    let largest = format!("{},{:03} bytes", largest / 1000, largest % 1000);
    let is_ours =
        |limit: &str| !["AWS: ", "EC2: ", "file: ", "Keeper: "].iter().any(|it| limit.starts_with(it));
    let defaults = [
        ("a whole call", time(deadline)),
        ("a write that loses", format!("{write_attempts} attempts")),
        ("the first pause after such a loss", time(backoff::FIRST)),
        ("the longest such pause", time(backoff::LONGEST)),
        ("the time after which replicas are queried", time(replica::HEDGE_DELAY)),
        ("the share of an opening's time", format!("{share}/3 of the remaining time")),
        ("versions that a handle remembers", reader::REMEMBERED.to_string()),
        ("grace period", time(blocking::GRACE)),
        ("how often a blocking call", format!("every {}", time(blocking::driver::INTERRUPT_INTERVAL))),
        ("threads that all blocking handles", blocking::driver::WORKERS.to_string()),
        ("the size of a document", largest),
    ];
    assert_defaults(is_ours, defaults);
}
