//! A process ends at each step of a write. The next one finds the old content or the new, whole, and goes on.
#![allow(clippy::unwrap_used)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio, abort},
    sync::OnceLock,
};

use ksm_storage_core::{Payload, StoreOutcome};

use crate::{
    Durability,
    place::Place,
    read,
    store::{self, Step},
};

const STEPS: [Step; 8] = [
    Step::Locked,
    Step::Begun,
    Step::Created,
    Step::Written,
    Step::Synced,
    Step::Placed,
    Step::Removed,
    Step::FolderSynced,
];

/// Ends the process, with nothing done on the way out, if it is the child that is to end here.
pub(crate) fn reached(step: Step) {
    static LAST: OnceLock<Option<String>> = OnceLock::new();
    if *LAST.get_or_init(|| env::var("CHILD_STEP").ok()) == Some(format!("{step:?}")) {
        abort();
    }
}

fn write(path: &Path, payload: &str) -> StoreOutcome {
    let expected = read::current(&Place::of(path).unwrap()).unwrap().stored.version;
    store::store(path, Durability::Synced, &expected, &Payload::from(payload)).unwrap()
}

fn content(path: &Path) -> Option<String> {
    let payload = read::current(&Place::of(path).unwrap()).unwrap().stored.payload?;
    Some(String::from_utf8(payload.as_bytes().to_vec()).unwrap())
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
#[ignore = "run as a child process by the other tests"]
fn child() {
    write(&PathBuf::from(env::var_os("CHILD_PATH").unwrap()), "new");
}

fn run_until(step: &str, path: &Path) -> ExitStatus {
    Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "crash_tests::child"])
        .env_clear()
        .env("CHILD_PATH", path)
        .env("CHILD_STEP", step)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
}

#[test]
fn a_process_that_ends_at_any_step_leaves_the_old_content_or_the_new() {
    for old in [Some("old"), None] {
        for step in STEPS {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("ksm.json");
            if let Some(old) = old {
                write(&path, old);
            }
            let ended = run_until(&format!("{step:?}"), &path);
            assert!(!ended.success() && ended.code().is_none(), "{step:?}: it did not end there: {ended}");
            let placed = matches!(step, Step::Placed | Step::Removed | Step::FolderSynced);
            assert_eq!(content(&path).as_deref(), if placed { Some("new") } else { old }, "{step:?}");

            // Its lock is free, and what it left behind is gone with the next write.
            assert!(matches!(write(&path, "next"), StoreOutcome::Committed { .. }), "{step:?}");
            assert_eq!(content(&path).as_deref(), Some("next"), "{step:?}");
            assert_eq!(names(folder.path()), ["ksm.json", "ksm.json.lock"], "{step:?}");
        }
    }
}

#[test]
fn a_process_that_is_not_stopped_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ksm.json");
    assert!(run_until("", &path).success());
    assert_eq!(content(&path).as_deref(), Some("new"));
}
