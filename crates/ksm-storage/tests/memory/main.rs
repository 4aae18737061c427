//! The number of copies of a value in a process's memory, after each step and after everything is dropped.
//!
//! The code under test runs in a child process, which holds the value only in masked form. To print the table: `cargo
//! test --all-features --test memory -- --nocapture --test-threads 1`
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod child;
mod document;
mod keeper;
mod report;
mod scan;
mod storage;

use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt};

use ksm_storage_emulator::{
    Emulator, Server, Value,
    keeper::{AppKeyPolicy, FakeKeeper},
};

use self::report::{Report, run};

fn secret() -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(48).collect()
}

/// Base64 of 32 bytes. The last four characters encode two bytes.
fn app_key() -> String {
    secret()[..42].to_owned() + "A="
}

/// Control: freed memory that was not zeroized is found.
#[test]
fn unzeroized_string_is_found() {
    let report = run("control", &secret(), &[]);
    println!("{report}");
    assert_eq!([report.left("held"), report.left("dropped")], [1, 1]);
}

#[track_caller]
fn assert_nothing_left(report: &Report, used: &str) {
    println!("{report}");
    assert_eq!(report.left("start"), 0, "the test itself left copies, or knows the value");
    assert!(report.left(used) > 0, "the value was never there");
    assert_eq!([report.left("dropped"), report.left("runtime ended")], [0, 0]);
}

#[test]
fn a_storage_in_memory_leaves_nothing() {
    for scenario in ["memory", "memory, base64", "memory, blocking"] {
        assert_nothing_left(&run(scenario, &secret(), &[]), "open");
    }
    assert_nothing_left_of_malformed(&run("memory, malformed", &secret(), &[]));
}

/// The JSON parser counts lines with `memchr` to locate an error. In a debug build that leaves bytes on the stack, in
/// an optimized build it does not.
#[track_caller]
fn assert_nothing_left_of_malformed(report: &Report) {
    println!("{report}");
    assert_eq!(report.left("start"), 0, "the test itself left copies, or knows the value");
    let steps = ["dropped", "runtime ended"];
    let left = steps
        .map(|step| if cfg!(debug_assertions) { report.left_off_stack(step) } else { report.left(step) });
    assert_eq!(left, [0, 0]);
}

#[test]
fn file_storage_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (scenario, used) in [("file", "open"), ("file, base64", "open"), ("file, malformed", "refused")] {
        let (path, secret) = (folder.path().join(scenario), secret());
        let content = match scenario {
            "file, malformed" => document::malformed(&secret),
            "file, base64" => document::base64(&secret),
            _ => document::json(&secret),
        };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
        file.write_all(content.as_bytes()).unwrap();
        let report = run(scenario, &secret, &[("PLACE", path.to_str().unwrap())]);
        if used == "refused" {
            assert_nothing_left_of_malformed(&report);
        } else {
            assert_nothing_left(&report, used);
        }
    }
}

#[test]
fn the_protocol_on_aws_leaves_nothing() {
    for scenario in ["aws, in process", "aws, in process, strict"] {
        assert_nothing_left(&run(scenario, &secret(), &[]), "open");
    }
}

/// The SDK leaves copies, and their number depends on the allocator's placement. Copies left by this project would
/// appear in every run.
fn assert_no_more_left(ours: &str, sdk: &str, run: impl Fn(&str) -> Report) {
    let pairs: Vec<_> = std::iter::repeat_with(|| [ours, sdk].map(&run)).take(3).collect();
    let [ours, sdk] = &pairs[0];
    println!("{ours}\n{sdk}");
    assert!(pairs.iter().any(|[_, sdk]| sdk.left("open") > 0), "the value was never there");
    let more = pairs.iter().all(|[ours, sdk]| ours.left("runtime ended") > sdk.left("runtime ended"));
    assert!(!more, "more is left than by the SDK alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_aws_sdk_leaves_copies() {
    for (ours, sdk) in [("aws, get", "aws sdk, get"), ("aws, put", "aws sdk, put")] {
        tokio::task::block_in_place(|| {
            assert_no_more_left(ours, sdk, |scenario| {
                let secret = secret();
                let emulator = Emulator::new("us-east-1");
                let stored = document::payload(&document::json(&secret));
                emulator.secret("ksm-config").overwrite(Value::Text(stored));
                let server = tokio::runtime::Handle::current().block_on(Server::start(emulator)).unwrap();
                run(scenario, &secret, &[("PLACE", &server.url())])
            });
        });
    }
}

fn run_keeper(scenario: &str) -> Report {
    let keeper = FakeKeeper::start(AppKeyPolicy::Once).unwrap();
    let value = if scenario.ends_with("bind") { keeper.issue_token() } else { app_key() };
    let variables = [("PLACE", keeper.hostname()), ("SERVER_KEY", keeper.server_public_key())];
    run(scenario, &value, &variables.each_ref().map(|(name, value)| (*name, &**value)))
}

#[test]
fn values_unseen_by_keeper_vanish() {
    assert_nothing_left(&run_keeper("keeper, unknown keys"), "open");
}

#[test]
fn only_keeper_sdk_leaves_copies() {
    assert_no_more_left("keeper, start", "keeper sdk, start", run_keeper);
    assert_no_more_left("keeper, bind", "keeper sdk, bind", run_keeper);
}
