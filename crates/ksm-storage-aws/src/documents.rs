//! The runbook explains each cause, and the reference has a row for each event and default.

use std::time::Duration;

use ksm_storage_core::{Location, OpenOptions, Version};

#[path = "../../ksm-storage-core/tests/reference/mod.rs"]
mod reference;

use self::reference::{assert_defaults, assert_events, time, variants};
use crate::{
    backend, builder, cause::Cause, credentials, credentials::Common, descent, events::Event, file, guarded,
    http::guard, process, protocol::VersionId, resolver, sdk, setting, source, store, throttle,
};

#[test]
fn runbook_explains_every_cause() {
    let runbook = include_str!("../../../docs/operations.md");
    let table = runbook.split("<!-- begin causes -->").nth(1).unwrap();
    let table = table.split("<!-- end causes -->").next().unwrap();
    let cells: Vec<_> =
        table.lines().filter_map(|line| line.strip_prefix('|')?.split('|').next()).skip(2).collect();
    let shown: Vec<_> = cells.iter().map(|cell| cell.trim_matches(['`', ' '])).collect();
    let words: Vec<_> = Cause::ALL.iter().map(|cause| cause.words()).collect();
    for cause in &words {
        assert!(shown.contains(cause), "docs/operations.md does not explain `{cause}`");
    }
    for row in shown {
        assert!(words.contains(&row), "no cause has the words `{row}` of docs/operations.md");
    }
}

#[test]
fn reference_lists_events() {
    let location = &Location::new("aws-sm", "1");
    let (version, known) = (&Version::new("1"), &Version::new("2"));
    let events = variants! { Event:
        Fallback { reason: "" }
        Unrelated { location, version, known }
        Created { location }
        Resolved { region: Some("us-east-1") }
        Throttled { location, attempt: 1, wait: Duration::ZERO }
    };
    assert_events(|| events.into_iter().for_each(Event::log));
}

#[test]
fn reference_states_defaults() {
    let common = Common {
        region: None,
        endpoint: None,
        max_attempts: builder::MAX_ATTEMPTS,
        attempt_timeout: builder::ATTEMPT_TIMEOUT,
        deadline: OpenOptions::default().deadline,
        fallback: true,
    };
    let retries = resolver::retries(&common);
    let connect = resolver::timeouts(&common).connect_timeout().unwrap();
    let read = backend::patience(common.deadline);
    let share = Common { deadline: Duration::from_secs(3), ..common.clone() }.patience().as_secs();
    assert_eq!(sdk::move_retries().max_attempts(), 1);
    let defaults = [
        ("AWS: one request", time(common.attempt_timeout)),
        ("AWS: its connection", format!("{}, or the above if shorter", time(connect))),
        ("AWS: a request that fails", format!("sent {} times", retries.max_attempts())),
        ("AWS: the longest first pause before such a request", time(retries.initial_backoff())),
        ("AWS: the longest first pause after a throttled read", time(throttle::FIRST)),
        ("AWS: the time that must be left", time(throttle::SHORTEST)),
        ("AWS: the longest such pause", time(throttle::LONGEST)),
        ("AWS: a throttled read", format!("{}, {}", time(read), time(backend::put_patience(read)))),
        ("AWS: the request that moves a label", "sent once".to_owned()),
        ("AWS: the check after a write", time(store::CHECK_LIMIT)),
        ("AWS: the first pause between", time(store::CHECK_PAUSE)),
        ("AWS: successors of one version", Version::SLOTS.to_string()),
        ("AWS: reads per store", store::MAX_READS.to_string()),
        ("AWS: the check of a loaded version's descent", time(descent::FOLLOW_LIMIT)),
        ("AWS: versions that", descent::MAX_HOPS.to_string()),
        ("AWS: pages of a list", sdk::MAX_PAGES.to_string()),
        ("EC2: one attempt to connect", format!("{} each", time(credentials::PATIENCE))),
        ("AWS: the size of a reply", format!("{} MiB", guard::MAX_REPLY >> 20)),
        ("AWS: interim replies", guard::MAX_INTERIM.to_string()),
        ("AWS: a source of credentials", format!("{share}/3 of the deadline")),
        ("AWS: roles in a chain", source::MAX_ROLES.to_string()),
        ("AWS: the size of the output", format!("{} KiB", process::MAX_OUTPUT >> 10)),
        ("AWS: credentials that expire", format!("{} ahead", time(guarded::MARGIN))),
        ("AWS: the size of a configuration or token file", format!("{} MiB", file::MAX_LEN >> 20)),
        ("AWS: reading a configuration file", time(file::LIMIT)),
        ("AWS: the length of a setting", format!("{} KiB", setting::MAX_LEN >> 10)),
    ];
    assert_defaults(|limit| limit.starts_with("AWS: ") || limit.starts_with("EC2: "), defaults);
}
