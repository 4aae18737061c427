//! Locks that are deleted, held or inherited, and files beside an active writer.

use std::{
    cell::Cell,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use ksm_storage_core::StorageBackend;
use tokio::time::timeout;

use super::*;
use crate::{FileBackend, lock::Lock};

/// The lock file is deleted at any moment, and another writer locks the new one.
#[test]
fn deleted_lock_loses_no_write() {
    for failpoint in [Failpoint::Locked, Failpoint::Created, Failpoint::Synced, Failpoint::Checked] {
        for lock_returns in [false, true] {
            let (_folder, path) = one_file("old");
            let other = path.clone();
            let outcome = write_while(failpoint, &path, move || {
                let lock = FilePaths::resolve(&other).unwrap().lock();
                fs::rename(&lock, lock.with_extension("gone")).unwrap();
                assert_eq!(committed(write(&other, "other")), Displaced::Nothing);
                if lock_returns {
                    fs::rename(lock.with_extension("gone"), &lock).unwrap();
                }
            });
            assert!(is_conflict(&outcome), "{failpoint:?}: {outcome:?}");
            assert_eq!(content(&path).as_deref(), Some("other"), "{failpoint:?}");
            assert_eq!(leftovers(&path), [""; 0].map(PathBuf::from), "{failpoint:?}");
        }
    }
}

/// On file systems where an exchange cannot be undone.
#[test]
fn deleted_lock_is_noticed_before_replacement() {
    let (_folder, path) = one_file("old");
    let other = path.clone();
    let outcome = without_exchange(|| {
        write_while(Failpoint::Synced, &path, move || {
            fs::remove_file(FilePaths::resolve(&other).unwrap().lock()).unwrap();
            committed(write(&other, "other"));
        })
    });
    assert!(is_conflict(&outcome), "{outcome:?}");
    assert_eq!(content(&path).as_deref(), Some("other"));
}

/// Two writers intervene at once, neither with the lock that this one holds: one of the three is displaced.
#[test]
fn third_writer_is_not_undone() {
    let (_folder, path) = one_file("old");
    let (expected, other) = (version(&path), path.clone());
    let hook = move |failpoint| {
        let payload = match failpoint {
            Failpoint::Checked => "other",
            Failpoint::Placed => "third",
            _ => return,
        };
        fs::remove_file(FilePaths::resolve(&other).unwrap().lock()).unwrap();
        assert_eq!(committed(write(&other, payload)), Displaced::Nothing);
    };
    let outcome = during(hook, || write_on(&expected, &path, "new"));
    let Displaced::Cooperative { inspect: Some(command), .. } = committed(outcome) else {
        panic!("not reported")
    };
    assert!(shown(&command).starts_with("other\n"), "{command}");
    assert_eq!(content(&path).as_deref(), Some("third"));
    assert_eq!(leftovers(&path).len(), 1);
}

#[test]
fn lock_deleted_during_wait_is_replaced() {
    let (_folder, path) = one_file("old");
    let paths = FilePaths::resolve(&path).unwrap();
    let file = paths.lock();
    let (start, is_deleted) = (Instant::now(), Cell::new(false));
    let hook = move |_| {
        if !is_deleted.replace(true) {
            fs::remove_file(&file).unwrap();
        }
    };
    let lock = during(hook, || Lock::acquire(&paths, &|| true).unwrap());
    assert!(lock.is_current() && start.elapsed() < Duration::from_secs(5));
}

#[test]
fn held_lock_ends_in_timeout() {
    let (_folder, path) = one_file("old");
    let paths = FilePaths::resolve(&path).unwrap();
    let held = Lock::acquire(&paths, &|| true).unwrap();
    let error = Lock::acquire_within(Duration::from_millis(20), &paths, &|| true).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::NotApplied));
    assert!(error.to_string().contains("fuser -v '") && error.to_string().contains(".lock"), "{error}");
    // Nobody awaits it.
    let start = Instant::now();
    Lock::acquire(&paths, &|| false).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(5));
    // Like a process that was forked meanwhile.
    let inherited = held.duplicate();
    drop(held);
    Lock::acquire_within(Duration::from_millis(20), &paths, &|| true).unwrap();
    drop(inherited);
}

/// The blocking thread ends with the call, so a dropped runtime does not wait for it.
#[test]
fn hanging_lock_holder_blocks_nobody() {
    let (_folder, path) = one_file("old");
    let held = Lock::acquire(&FilePaths::resolve(&path).unwrap(), &|| true).unwrap();
    let start = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let backend = FileBackend::new(&path);
        let expected = backend.load().await.unwrap().version().clone();
        let payload = Payload::from("new");
        timeout(Duration::from_millis(50), backend.store(&expected, &payload)).await.unwrap_err();
    });
    drop(runtime);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    drop(held);
    assert_eq!(content(&path).as_deref(), Some("old"));
}

/// Lists leftovers beside a writer that continues after this time.
fn leftovers_beside_writer(time: Duration) -> usize {
    let (_folder, path) = one_file("old");
    let (sender, found) = mpsc::channel();
    let other = path.clone();
    let outcome = write_while(Failpoint::Synced, &path, move || {
        let temporary = FilePaths::resolve(&other).unwrap().leftovers().unwrap();
        assert!(temporary[0].to_str().unwrap().contains("it's ksm.json.temporary-"), "{temporary:?}");
        let (path, sender) = (other.clone(), sender.clone());
        thread::spawn(move || sender.send(leftovers(&path)).unwrap());
        thread::sleep(time);
    });
    assert_eq!(committed(outcome), Displaced::Nothing);
    let found = found.recv().unwrap();
    assert_eq!(leftovers(&path), [""; 0].map(PathBuf::from));
    found.len()
}

#[test]
fn writer_at_work_leaves_nothing() {
    assert_eq!(leftovers_beside_writer(Duration::from_millis(100)), 0);
    // A hanging one is reported.
    assert_eq!(leftovers_beside_writer(Duration::from_secs(2)), 1);
}
