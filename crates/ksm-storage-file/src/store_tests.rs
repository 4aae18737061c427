//! Events between the steps of a write: a process ends, or a program that asks for no lock writes.
#![allow(clippy::panic, clippy::unwrap_used)]

use std::{
    env, fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio, abort},
    time::Duration,
};

use ksm_storage_core::{Displaced, ErrorKind, Outcome, Payload, StoreOutcome, Version};

use crate::{
    Durability,
    lock::{self, Lock},
    place::Place,
    read,
    step::{Step, during},
    store::store,
};

mod killed;

const STEPS: [Step; 9] = [
    Step::Locked,
    Step::Begun,
    Step::Created,
    Step::Written,
    Step::Synced,
    Step::Announced,
    Step::Placed,
    Step::Removed,
    Step::FolderSynced,
];

fn version(path: &Path) -> Version {
    read::current(&Place::of(path).unwrap()).unwrap().stored.version().clone()
}

fn write_on(expected: &Version, path: &Path, payload: &str) -> StoreOutcome {
    store(path, Durability::Synced, expected, &Payload::from(payload), || true).unwrap()
}

fn write(path: &Path, payload: &str) -> StoreOutcome {
    write_on(&version(path), path, payload)
}

fn content(path: &Path) -> Option<String> {
    let current = read::current(&Place::of(path).unwrap()).unwrap();
    let payload = current.stored.payload()?;
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
    let (path, last) = (PathBuf::from(env::var_os("CHILD_PATH").unwrap()), env::var("CHILD_STEP").unwrap());
    let (foreign, other) = (env::var("CHILD_FOREIGN").ok(), path.clone());
    let hook = move |step| {
        if let (Step::Synced, Some(content)) = (step, &foreign) {
            fs::write(&other, content).unwrap();
        }
        if format!("{step:?}") == last {
            abort();
        }
    };
    during(hook, || write(&path, "new"));
}

fn run_until(step: &str, path: &Path) -> ExitStatus {
    run_beside(None, step, path)
}

/// Runs a writer until `step` that meets the write of another program between its check and its replacement.
fn run_beside(foreign: Option<&str>, step: &str, path: &Path) -> ExitStatus {
    Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "store_tests::child"])
        .env_clear()
        .env("CHILD_PATH", path)
        .env("CHILD_STEP", step)
        .envs(foreign.map(|content| ("CHILD_FOREIGN", content)))
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

/// The output of the command of a report.
fn told(outcome: StoreOutcome) -> Option<String> {
    let StoreOutcome::Committed { displaced, .. } = outcome else { panic!("{outcome:?}") };
    match displaced {
        Displaced::Nothing => None,
        Displaced::Foreign { inspect: Some(command), .. } => {
            let shown = Command::new("/bin/sh").args(["-c", &command]).output().unwrap();
            assert!(shown.status.success(), "{command}: {}", String::from_utf8_lossy(&shown.stderr));
            Some(String::from_utf8(shown.stdout).unwrap())
        }
        other => panic!("{other:?}"),
    }
}

fn ended(status: ExitStatus) {
    assert!(!status.success() && status.code().is_none(), "it did not end there: {status}");
}

#[test]
fn a_process_that_is_not_stopped_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ksm.json");
    assert!(run_until("", &path).success());
    assert_eq!(content(&path).as_deref(), Some("new"));
}

/// Writes `new` over `old` while a foreign program does `work` behind one step.
fn write_while(step: Step, path: &Path, work: impl Fn() + 'static) -> StoreOutcome {
    let hook = move |reached| {
        if reached == step {
            work();
        }
    };
    let expected = version(path);
    during(hook, || write_on(&expected, path, "new"))
}

fn one_file(content: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("it's ksm.json");
    write(&path, content);
    (folder, path)
}

fn replace(path: &Path, content: &str, mode: u32) {
    let other = path.with_extension("other");
    fs::write(&other, content).unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(mode)).unwrap();
    fs::rename(other, path).unwrap();
}

#[test]
fn what_lands_before_the_check_is_a_conflict() {
    let (_folder, path) = one_file("old");
    let foreign = path.clone();
    let outcome = write_while(Step::Locked, &path, move || replace(&foreign, "foreign", 0o600));
    let StoreOutcome::Conflict { current: Some(current), .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(current.payload(), Some(&"foreign".into()));
    assert_eq!(content(&path).as_deref(), Some("foreign"));
}

#[test]
fn what_lands_between_check_and_replacement_is_kept_and_reported() {
    type Work = fn(&Path);
    let works: [Work; 3] = [
        |path| replace(path, "foreign", 0o600),
        // As an editor leaves it: refused by a load, but not lost.
        |path| replace(path, "foreign", 0o644),
        // In place, with as many bytes, whatever the clock's ticks are.
        |path| fs::write(path, "foreign").unwrap(),
    ];
    for work in works {
        let (folder, path) = one_file("old");
        let foreign = path.clone();
        let outcome = write_while(Step::Synced, &path, move || work(&foreign));
        let StoreOutcome::Committed {
            version: stored,
            displaced: Displaced::Foreign { version: displaced, inspect: Some(command) },
        } = outcome
        else {
            panic!("{outcome:?}")
        };
        assert_eq!(version(&path), stored);
        assert_ne!(displaced, stored);
        assert_eq!(content(&path).as_deref(), Some("new"));
        let shown = Command::new("/bin/sh").args(["-c", &command]).output().unwrap().stdout;
        assert_eq!(shown, b"foreign", "{command}");
        write(&path, "next");
        assert_eq!(names(folder.path()).len(), 3, "the displaced file is not kept");
    }
}

#[test]
fn what_is_displaced_and_cannot_be_renamed_outlives_the_next_writer() {
    let folder = tempfile::tempdir().unwrap();
    // With the longest ending its name is too long.
    let path = folder.path().join("n".repeat(231));
    write(&path, "old");
    let foreign = path.clone();
    let outcome = write_while(Step::Synced, &path, move || fs::write(&foreign, "foreign").unwrap());
    let StoreOutcome::Committed { displaced: Displaced::Foreign { inspect: Some(command), .. }, .. } =
        outcome
    else {
        panic!("{outcome:?}")
    };
    write(&path, "next");
    let shown = Command::new("/bin/sh").args(["-c", &command]).output().unwrap().stdout;
    assert_eq!(shown, b"foreign", "{command}");
}

#[test]
fn a_file_removed_or_made_between_check_and_replacement_is_a_conflict() {
    let (folder, path) = one_file("old");
    let foreign = path.clone();
    let outcome = write_while(Step::Synced, &path, move || fs::remove_file(&foreign).unwrap());
    assert_eq!(outcome, StoreOutcome::conflict(None));
    assert_eq!(content(&path), None);

    let foreign = path.clone();
    let outcome = write_while(Step::Synced, &path, move || replace(&foreign, "foreign", 0o600));
    assert_eq!(outcome, StoreOutcome::conflict(None));
    assert_eq!(content(&path).as_deref(), Some("foreign"));
    assert_eq!(names(folder.path()), ["it's ksm.json", "it's ksm.json.lock"]);
}

#[test]
fn a_link_turned_while_the_lock_is_waited_for_is_a_conflict() {
    let (folder, path) = one_file("old");
    let (link, other) = (folder.path().join("link"), folder.path().join("other"));
    symlink(&path, &link).unwrap();
    write(&other, "other");
    let (turned, to) = (link.clone(), other.clone());
    let outcome = write_while(Step::Locked, &link, move || {
        fs::remove_file(&turned).unwrap();
        symlink(&to, &turned).unwrap();
    });
    assert_eq!(outcome, StoreOutcome::conflict(None));
    assert_eq!((content(&path).as_deref(), content(&other).as_deref()), (Some("old"), Some("other")));
}

#[test]
fn each_absence_of_the_file_has_a_version_of_its_own() {
    let (_folder, path) = one_file("old");
    fs::remove_file(&path).unwrap();
    let absent = version(&path);
    assert!(matches!(write_on(&absent, &path, "made"), StoreOutcome::Committed { .. }));
    fs::remove_file(&path).unwrap();
    assert_ne!(version(&path), absent);
    assert!(matches!(write_on(&absent, &path, "made again"), StoreOutcome::Conflict { .. }));

    // Also behind a writer that had something to tell.
    let [one, other] = [(), ()].map(|()| {
        write(&path, "old");
        let foreign = path.clone();
        let outcome = write_while(Step::Synced, &path, move || fs::write(&foreign, "foreign").unwrap());
        assert_eq!(told(outcome).as_deref(), Some("foreign"));
        fs::remove_file(&path).unwrap();
        version(&path)
    });
    assert_ne!(one, other);
}

#[test]
fn a_file_put_back_or_edited_with_its_frame_has_a_new_version() {
    let (_folder, path) = one_file("old");
    let (first, bytes) = (version(&path), fs::read(&path).unwrap());
    write(&path, "new");
    fs::write(&path, &bytes).unwrap();
    let back = version(&path);
    assert_ne!(back, first);
    let edited = String::from_utf8(bytes).unwrap().replace("old", "odd");
    fs::write(&path, edited).unwrap();
    assert_eq!(content(&path).as_deref(), Some("odd"));
    assert_ne!(version(&path), back);
}

#[test]
fn a_lock_that_is_not_given_back_ends_in_an_error() {
    let (_folder, path) = one_file("old");
    let place = Place::of(&path).unwrap();
    let held = Lock::acquire(&place).unwrap();
    let error = Lock::acquire_within(Duration::from_millis(20), &place).err().unwrap();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::NotApplied));
    assert!(error.to_string().contains(".lock"), "{error}");
    drop(held);
    Lock::acquire_within(Duration::from_millis(20), &place).unwrap();
}

#[test]
fn a_lock_file_that_cannot_be_read_is_an_error() {
    let (_folder, path) = one_file("old");
    let place = Place::of(&path).unwrap();
    assert!(lock::last_writer(&place).unwrap().is_some());
    fs::remove_file(place.lock()).unwrap();
    assert_eq!(lock::last_writer(&place).unwrap(), None);
    fs::create_dir(place.lock()).unwrap();
    let error = lock::last_writer(&place).unwrap_err();
    assert!(error.to_string().contains(".lock"), "{error}");
}

#[test]
fn the_largest_payload_can_be_read_back_and_a_larger_file_is_refused() {
    let (_folder, path) = one_file("old");
    let largest = "x".repeat(read::MAX_PAYLOAD);
    assert!(matches!(write(&path, &largest), StoreOutcome::Committed { .. }));
    assert_eq!(content(&path), Some(largest));
    let mut bytes = fs::read(&path).unwrap();
    bytes.push(b' ');
    fs::write(&path, bytes).unwrap();
    let error = read::current(&Place::of(&path).unwrap()).err().unwrap();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::InvalidConfig, Outcome::NotApplied));
}
