//! Events between the failpoints of a write: a process ends, or a program without the lock writes.
#![allow(clippy::panic, clippy::unwrap_used)]

use std::{
    env, fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio, abort},
};

use ksm_storage_core::{Displaced, ErrorKind, Outcome, Payload, StoreOutcome, Version};
use tempfile::TempDir;

use crate::{
    Durability,
    failpoint::{Failpoint, during, without_exchange},
    leftover,
    paths::FilePaths,
    read,
    store::store,
};

mod locks;

const FAILPOINTS: [Failpoint; 10] = [
    Failpoint::LockOpened,
    Failpoint::Locked,
    Failpoint::Created,
    Failpoint::Written,
    Failpoint::Synced,
    Failpoint::Checked,
    Failpoint::Placed,
    Failpoint::Preserved,
    Failpoint::Removed,
    Failpoint::FolderSynced,
];

fn version(path: &Path) -> Version {
    read::current(&FilePaths::resolve(path).unwrap()).unwrap().stored.version().clone()
}

fn write_on(expected: &Version, path: &Path, payload: &str) -> StoreOutcome {
    store(path, Durability::Synced, expected, &Payload::from(payload), &|| true).unwrap()
}

fn write(path: &Path, payload: &str) -> StoreOutcome {
    write_on(&version(path), path, payload)
}

fn content(path: &Path) -> Option<String> {
    let current = read::current(&FilePaths::resolve(path).unwrap()).unwrap();
    let payload = current.stored.payload()?;
    Some(String::from_utf8(payload.as_bytes().to_vec()).unwrap())
}

fn committed(outcome: StoreOutcome) -> Displaced {
    match outcome {
        StoreOutcome::Committed { displaced, .. } => displaced,
        conflict @ StoreOutcome::Conflict { .. } => panic!("{conflict:?}"),
    }
}

fn is_conflict(outcome: &StoreOutcome) -> bool {
    matches!(outcome, StoreOutcome::Conflict { .. })
}

fn leftovers(path: &Path) -> Vec<PathBuf> {
    let found = leftover::find(&FilePaths::resolve(path).unwrap(), &|| true).unwrap();
    for leftover in &found {
        let metadata = fs::symlink_metadata(leftover).unwrap();
        assert!(!metadata.is_file() || metadata.mode() & 0o7777 == 0o600, "{}", leftover.display());
    }
    found
}

/// The output of a command quoted in a report.
fn shown(command: &str) -> String {
    let output = Command::new("bash").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn one_file(content: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("it's ksm.json");
    write(&path, content);
    (folder, path)
}

/// Writes `new`, and runs `work` at one failpoint.
fn write_while(failpoint: Failpoint, path: &Path, work: impl Fn() + 'static) -> StoreOutcome {
    let expected = version(path);
    let hook = move |reached| {
        if reached == failpoint {
            work();
        }
    };
    during(hook, || write_on(&expected, path, "new"))
}

/// Replaces the file as another program would.
fn replace(path: &Path, content: &str, mode: u32) {
    let other = path.with_extension("other");
    fs::write(&other, content).unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(mode)).unwrap();
    fs::rename(other, path).unwrap();
}

#[test]
#[ignore = "run as a child process by the other tests"]
fn child() {
    let (path, last) = (PathBuf::from(env::var_os("CHILD_PATH").unwrap()), env::var("CHILD_LAST").unwrap());
    let (foreign, other) = (env::var("CHILD_FOREIGN").ok(), path.clone());
    let hook = move |failpoint| {
        if let (Failpoint::Checked, Some(content)) = (failpoint, &foreign) {
            replace(&other, content, 0o644);
        }
        if format!("{failpoint:?}") == last {
            abort();
        }
    };
    during(hook, || write(&path, "new"));
}

/// Kills a writer at `last`; `foreign` replaces the file between the writer's check and its exchange.
fn kill(path: &Path, last: Failpoint, foreign: Option<&str>) {
    let status = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "store_tests::child"])
        .env_clear()
        .env("CHILD_PATH", path)
        .env("CHILD_LAST", format!("{last:?}"))
        .envs(foreign.map(|content| ("CHILD_FOREIGN", content)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(!status.success() && status.code().is_none(), "{last:?}: it was not killed: {status}");
}

#[test]
fn killed_writer_leaves_old_or_new() {
    for old in [Some("old"), None] {
        for last in FAILPOINTS {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("ksm.json");
            if let Some(old) = old {
                write(&path, old);
            }
            kill(&path, last, None);
            let is_placed = matches!(
                last,
                Failpoint::Placed | Failpoint::Preserved | Failpoint::Removed | Failpoint::FolderSynced
            );
            assert_eq!(content(&path).as_deref(), if is_placed { Some("new") } else { old }, "{last:?}");

            // The leftovers are reported, and the next write does not touch them.
            let found = leftovers(&path);
            let expected = match last {
                Failpoint::Created | Failpoint::Written | Failpoint::Synced | Failpoint::Checked => 1,
                Failpoint::Placed | Failpoint::Preserved => usize::from(old.is_some()),
                Failpoint::LockOpened | Failpoint::Locked | Failpoint::Removed | Failpoint::FolderSynced => 0,
            };
            assert_eq!(found.len(), expected, "{last:?}: {found:?}");
            assert_eq!(committed(write(&path, "next")), Displaced::Nothing, "{last:?}");
            assert_eq!(content(&path).as_deref(), Some("next"), "{last:?}");
            assert_eq!(leftovers(&path), found, "{last:?}");
        }
    }
}

#[test]
fn killed_writer_preserves_foreign_version() {
    for last in [Failpoint::Placed, Failpoint::Preserved, Failpoint::Removed, Failpoint::FolderSynced] {
        let (_folder, path) = one_file("old");
        kill(&path, last, Some("foreign"));
        assert_eq!(content(&path).as_deref(), Some("new"), "{last:?}");
        let [found] = &leftovers(&path)[..] else { panic!("{last:?}") };
        assert_eq!(fs::read_to_string(found).unwrap(), "foreign", "{last:?}");
    }
}

#[test]
fn foreign_write_before_check_conflicts() {
    let (_folder, path) = one_file("old");
    let foreign = path.clone();
    let outcome = write_while(Failpoint::Locked, &path, move || replace(&foreign, "foreign", 0o600));
    let StoreOutcome::Conflict { current: Some(current), .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(current.payload(), Some(&"foreign".into()));
    assert_eq!(content(&path).as_deref(), Some("foreign"));
}

#[test]
fn foreign_write_after_check_is_reported() {
    type Work = fn(&Path);
    let works: [Work; 4] = [
        |path| replace(path, "foreign", 0o600),
        // As an editor leaves it: refused by a load, but not lost.
        |path| replace(path, "foreign", 0o644),
        // In place with the same length, regardless of the clock's resolution.
        |path| fs::write(path, "foreign").unwrap(),
        |path| {
            fs::write(path.with_extension("other"), "foreign").unwrap();
            fs::remove_file(path).unwrap();
            symlink(path.with_extension("other"), path).unwrap();
        },
    ];
    for work in works {
        let (_folder, path) = one_file("old");
        let foreign = path.clone();
        let outcome = write_while(Failpoint::Checked, &path, move || work(&foreign));
        let stored = version(&path);
        let Displaced::Foreign { version: displaced, inspect: Some(command) } = committed(outcome) else {
            panic!("not reported")
        };
        assert_ne!(displaced, stored);
        assert_eq!(content(&path).as_deref(), Some("new"));
        assert_eq!(shown(&command), "foreign", "{command}");
        assert!(command.contains("it'\\''s ksm.json.displaced-"), "{command}");
        let preserved = &FilePaths::resolve(&path).unwrap().leftovers().unwrap()[0];
        let metadata = fs::symlink_metadata(preserved).unwrap();
        assert!(metadata.is_symlink() || metadata.mode() & 0o7777 == 0o600, "{command}");
        write(&path, "next");
        assert_eq!(leftovers(&path).len(), 1, "{command}");
    }
}

/// `sed -i` without a backup keeps the nonce of the version that it edits.
#[test]
fn edit_with_nonce_is_foreign() {
    let (_folder, path) = one_file("old");
    let edited = path.clone();
    let outcome = write_while(Failpoint::Checked, &path, move || {
        let text = fs::read_to_string(&edited).unwrap();
        fs::write(&edited, text.replace("old", "odd")).unwrap();
    });
    assert!(matches!(committed(outcome), Displaced::Foreign { .. }));
    let [found] = &leftovers(&path)[..] else { panic!("not preserved") };
    assert!(fs::read_to_string(found).unwrap().starts_with("odd"));
}

#[test]
fn removal_and_creation_conflict() {
    let (_folder, path) = one_file("old");
    let foreign = path.clone();
    let outcome = write_while(Failpoint::Checked, &path, move || fs::remove_file(&foreign).unwrap());
    assert!(is_conflict(&outcome), "{outcome:?}");
    assert_eq!(content(&path), None);

    let foreign = path.clone();
    let outcome = write_while(Failpoint::Checked, &path, move || replace(&foreign, "foreign", 0o600));
    assert!(is_conflict(&outcome), "{outcome:?}");
    assert_eq!(content(&path).as_deref(), Some("foreign"));
    assert_eq!(leftovers(&path), [""; 0].map(PathBuf::from));
}

#[test]
fn changed_link_conflicts() {
    let (folder, path) = one_file("old");
    let (link, other) = (folder.path().join("link"), folder.path().join("other"));
    symlink(&path, &link).unwrap();
    write(&other, "other");
    let (changed, to) = (link.clone(), other.clone());
    let outcome = write_while(Failpoint::Locked, &link, move || {
        fs::remove_file(&changed).unwrap();
        symlink(&to, &changed).unwrap();
    });
    assert_eq!(outcome, StoreOutcome::conflict(None));
    assert_eq!((content(&path).as_deref(), content(&other).as_deref()), (Some("old"), Some("other")));
}

#[test]
fn without_exchange_writes_are_unverified() {
    without_exchange(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ksm.json");
        assert_eq!(committed(write(&path, "old")), Displaced::Unverified);
        assert_eq!(committed(write(&path, "new")), Displaced::Unverified);
        assert_eq!(content(&path).as_deref(), Some("new"));
        let expected = version(&path);
        assert_eq!(committed(write_on(&expected, &path, "next")), Displaced::Unverified);
        assert_eq!(leftovers(&path), [""; 0].map(PathBuf::from));
    });
}

#[test]
fn each_absence_has_its_version() {
    let (_folder, path) = one_file("old");
    let mut seen = Vec::new();
    for _ in 0..3 {
        fs::remove_file(&path).unwrap();
        let absent = version(&path);
        assert!(!seen.contains(&absent));
        assert!(seen.iter().all(|old| is_conflict(&write_on(old, &path, "made again"))));
        committed(write_on(&absent, &path, "made"));
        seen.push(absent);
    }
}

#[test]
fn restored_and_edited_files_have_versions() {
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
fn largest_payload_is_read_back() {
    let (_folder, path) = one_file("old");
    let largest = "x".repeat(read::MAX_PAYLOAD);
    assert!(matches!(write(&path, &largest), StoreOutcome::Committed { .. }));
    assert_eq!(content(&path), Some(largest));
    let mut bytes = fs::read(&path).unwrap();
    bytes.push(b' ');
    fs::write(&path, bytes).unwrap();
    let error = read::current(&FilePaths::resolve(&path).unwrap()).err().unwrap();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::InvalidConfig, Outcome::NotApplied));
}

/// Paths that must not break the commands in reports.
#[test]
fn reports_quote_hostile_paths() {
    for name in ["-n", "a b", "a\nb", "$(touch PWNED)", "'\"\\", "ü", "*"] {
        report_works(name.as_bytes());
    }
    report_works(b"\xff\n'$x\\");
}

fn report_works(name: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(std::ffi::OsStr::from_bytes(name));
    write(&path, "old");
    let foreign = path.clone();
    let outcome = write_while(Failpoint::Checked, &path, move || fs::write(&foreign, "foreign").unwrap());
    let Displaced::Foreign { inspect: Some(command), .. } = committed(outcome) else { panic!("{name:?}") };
    assert!(!command.contains(char::is_control), "{command:?}");
    assert_eq!(shown(&command), "foreign", "{command}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let error = read::current(&FilePaths::resolve(&path).unwrap()).err().unwrap().to_string();
    assert!(!error.contains(char::is_control), "{error:?}");
    shown(error.split("; ").last().unwrap());
    assert_eq!(content(&path).as_deref(), Some("new"));
}
