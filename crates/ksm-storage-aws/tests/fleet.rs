//! A fleet of programs that start at once, in virtual time: `docs/fleet.md` has the figures of larger ones.
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "these are tests")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    dead_code,
    reason = "shared with the example"
)]

#[path = "../examples/fleet/bind.rs"]
mod bind;
#[path = "../examples/fleet/simulation.rs"]
mod simulation;

use std::time::Duration;

use simulation::{Fleet, Report, Retries};

fn run(fleet: Fleet) -> Report {
    fleet.run()
}

#[test]
fn ten_thousand_starts_open_at_half_the_quota() {
    let report = run(Fleet { gets: 5_000, ..Fleet::default() });
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    assert_eq!(report.times.len(), 10_000);
    assert!(report.gets_per_start() <= 1.7, "{} Gets per start", report.gets_per_start());
    assert!(report.quantile(1.0) < Duration::from_secs(15));
}

#[test]
fn throttling_reduces_calls() {
    let fleet = Fleet { starts: 20_000, gets: 1_000, ..Fleet::default() };
    let (own, sdk) = (run(fleet.clone()), run(Fleet { retries: Retries::Sdk(200), ..fleet }));
    // Twenty times the quota.
    assert!(own.opened() > 4.0 * sdk.opened(), "{} and {}", own.opened(), sdk.opened());
    let calls: Vec<_> = own.seconds.iter().map(|second| second[0]).collect();
    assert!(calls[0] < 23_000 && calls[1..].iter().all(|&calls| calls < 8_000), "{calls:?}");
}

#[test]
fn one_token_binds_one_start() {
    let report = run(Fleet { starts: 4_000, unbound: true, ..Fleet::default() });
    assert_eq!(report.stored, 2, "the key pair and the application key: {report:?}");
    let others: Vec<_> = report.failures.keys().filter(|kind| *kind != "TokenSpent").collect();
    assert!(others.is_empty() && !report.times.is_empty(), "{:?}", report.failures);
}

#[test]
fn runs_are_repeatable() {
    let run = || format!("{:?}", run(Fleet { starts: 200, gets: 50, ..Fleet::default() }));
    assert_eq!(run(), run());
}
