//! The runbook has an entry for each kind of error, and the reference a row for each event and default.

use std::time::Duration;

use keeper_secrets_manager_core::KSMRError;
use ksm_storage_core::{Error as StorageError, ErrorKind as StorageErrorKind, Location, Version};

#[path = "../../ksm-storage-core/tests/reference/mod.rs"]
mod reference;

use self::reference::{assert_defaults, assert_events, time, variants};
use crate::{Error, ErrorKind, bind, events::Event, group, http, post, settings};

#[test]
fn runbook_explains_every_kind() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
    let page = std::fs::read_to_string(page).unwrap();
    let kinds = variants! { ErrorKind:
        AccessDenied InvalidArgument InvalidConfig InvalidToken NotSaved Panicked Runtime Sdk Storage Throttled TokenMismatch TokenSpent Unbound Unreachable
    };
    for kind in kinds {
        let name = format!("{kind:?}");
        let location = Location::new("memory", "1");
        let error = match kind {
            ErrorKind::Sdk => Error::sdk(&KSMRError::RecordNotFoundError(String::new()), None, location),
            ErrorKind::Panicked => Error::panicked("binding the client", None, location),
            kind => Error::new(kind, location),
        };
        assert_eq!(format!("{error:?}"), error.to_string());
        let error = error.to_string();
        let row =
            page.lines().find_map(|line| line.strip_prefix(&format!("| `{name}` | `"))).unwrap_or_default();
        let words = row.split('`').next().unwrap();
        assert!(
            !words.is_empty() && error.contains(words),
            "the row of {name} begins with {words:?}, and the error is {error}"
        );
    }
    let (_, table) = page.split_once("<!-- begin keeper kinds -->").unwrap();
    let table = table.split_once("<!-- end keeper kinds -->").unwrap().0;
    assert_eq!(table.matches("\n| `").count(), kinds.len(), "a row is about no kind");
}

#[test]
fn runbook_explains_every_cause() {
    use http::NoReply;

    let page = include_str!("../../../docs/operations.md");
    let (_, table) = page.split_once("### Causes between the client and Keeper").unwrap();
    let table = table.split_once("\n## ").unwrap().0;
    let causes = variants! { NoReply:
        Dns Refused Timeout UnknownIssuer WrongName Expired Tls NoClient ProxyLogin Proxy TooLarge Foreign Broken
    };
    for cause in causes {
        let words = cause.words();
        assert!(table.contains(&format!("| `{words}`")), "docs/operations.md does not explain `{words}`");
    }
}

#[test]
fn reference_lists_events() {
    let location = &Location::new("memory", "1");
    let error = &StorageError::new(StorageErrorKind::Unavailable, "message");
    let (version, ignored) = (&Version::new("1"), &Error::new(ErrorKind::Unbound, location.clone()));
    let events = variants! { Event:
        Tolerated { error }
        Unsaved { error }
        Ignored { version, error: ignored }
        Retry { error, wait: Duration::ZERO }
        OtherKeyPair {}
    };
    assert_events(|| {
        for event in events {
            event.log(location);
        }
    });
}

#[test]
fn reference_states_defaults() {
    let waits = bind::WAITS;
    let (longest, total) = (time(waits[4]), waits.iter().sum::<Duration>().as_secs_f64());
    let defaults = [
        ("Keeper: the longest wait", format!("{longest} per attempt, {total} s in total")),
        ("Keeper: restarts of a bind", bind::ROUNDS.to_string()),
        ("Keeper: the write of a new application key", time(group::RETRY_LIMIT)),
        ("Keeper: the first pause", time(group::FIRST_PAUSE)),
        ("Keeper: the longest such pause", time(group::LONGEST_PAUSE)),
        ("Keeper: one request", time(settings::REQUEST_TIMEOUT)),
        ("Keeper: the size of an accepted reply", format!("{} MiB", http::MAX_REPLY >> 20)),
        ("Keeper: the size of a rejection", format!("{} KiB", http::MAX_REJECTION >> 10)),
        ("Keeper: the longest pause", format!("{} s", post::MAX_PAUSE)),
        // The next refusal ends the call.
        ("Keeper: requests to a server that refuses", (post::KEY_REFUSALS + 1).to_string()),
    ];
    assert_defaults(|limit| limit.starts_with("Keeper: "), defaults);
}
