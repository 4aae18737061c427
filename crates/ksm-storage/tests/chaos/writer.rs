//! A child process that appends marks to the shared value, with two concurrent calls, and logs the start and end of
//! each. It also logs the times during which it was not scheduled.

use std::{
    env,
    fs::{File, OpenOptions},
    io::Write,
    sync::Arc,
    thread,
    time::Duration,
};

use ksm_storage::{
    ConfigDocument,
    ConfigKey::Url,
    ConfigStorage, Error, ExposeSecret, Outcome,
    aws::{AwsSecretStorage, Concurrency},
};
use ksm_storage_emulator::fixture::sdk_config;

use crate::{DEADLINE, SECRET, now};

/// The name of the test that serves as the child process.
pub(crate) const TEST: &str = "writer::child";
/// Short enough for several faults within the deadline of a call.
const ATTEMPT: Duration = Duration::from_millis(500);
const TASKS: u32 = 2;

fn variable(name: &str) -> String {
    env::var(name).unwrap()
}

#[tokio::test]
#[ignore = "run as a child process by the other tests"]
async fn child() {
    let until: u64 = variable("CHAOS_UNTIL").parse().unwrap();
    let log = OpenOptions::new().create(true).append(true).open(variable("CHAOS_LOG")).unwrap();
    let log = Arc::new(log);
    let stalls = Arc::clone(&log);
    thread::spawn(move || log_stalls(&stalls));
    let Some(storage) = open(until).await else { return };
    let prefix = variable("CHAOS_PREFIX");
    let tasks = (0..TASKS).map(|task| {
        tokio::spawn(append_marks(storage.clone(), Arc::clone(&log), format!("{prefix}.{task}"), until))
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

/// Logs the times during which this process was not scheduled, because it was stopped or the processor was busy.
fn log_stalls(log: &File) {
    const PAUSE: Duration = Duration::from_millis(50);
    const STALL: u64 = 200;
    let mut before = now();
    loop {
        thread::sleep(PAUSE);
        let after = now();
        if after - before > STALL {
            write(log, &format!("stall {before} {after}\n"));
        }
        before = after;
    }
}

async fn open(until: u64) -> Option<ConfigStorage> {
    let config = sdk_config(&variable("CHAOS_URL"));
    let strict = variable("CHAOS_MODE") == "strict";
    let concurrency = if strict { Concurrency::Strict } else { Concurrency::Optimistic };
    while now() < until {
        let builder = AwsSecretStorage::from_sdk_config(SECRET, &config).concurrency(concurrency);
        if let Ok(storage) = builder.attempt_timeout(ATTEMPT).deadline(DEADLINE).open().await {
            return Some(storage);
        }
    }
    None
}

async fn append_marks(storage: ConfigStorage, log: Arc<File>, prefix: String, until: u64) {
    for number in 0.. {
        if now() >= until {
            return;
        }
        let mark = format!("{prefix}.{number}");
        write(&log, &format!("begin {mark} {}\n", now()));
        let appended = mark.clone();
        let result = storage
            .update(move |document| {
                append(document, &appended);
                Ok::<_, Error>(())
            })
            .await;
        let (outcome, kind) = match &result {
            Ok(()) => ("applied", "ok"),
            Err(error) => (word(error.outcome()), error.kind().as_str()),
        };
        write(&log, &format!("end {mark} {} {outcome} {kind}\n", now()));
    }
}

fn append(document: &mut ConfigDocument, mark: &str) {
    let marks = match document.get(Url) {
        Some(marks) => format!("{},{mark}", marks.expose_secret()),
        None => mark.to_owned(),
    };
    document.set(Url, marks);
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Applied => "applied",
        Outcome::NotApplied => "not-applied",
        Outcome::Unknown => "unknown",
    }
}

/// A single system call, so that a killed process leaves either the whole line or nothing.
fn write(mut log: &File, line: &str) {
    log.write_all(line.as_bytes()).unwrap();
}
