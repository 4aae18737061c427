//! The remains of killed writers, and the fate of what they displaced.

use std::fs::OpenOptions;

use ksm_storage_core::StorageBackend;
use tokio::time::{sleep, timeout};

use super::*;
use crate::FileBackend;

/// As many bytes as a file has that says "old".
const FOREIGN: &str = "FOREIGN, with sixty-eight bytes, which a file has that is framed....";

/// The name of a killed writer's own file.
fn left(folder: &Path) -> PathBuf {
    folder.join(names(folder).into_iter().find(|name| name.starts_with('.')).unwrap())
}

#[test]
fn what_a_process_displaced_and_did_not_live_to_tell_is_told_by_the_next_that_does() {
    for step in ["Placed", "Removed", "FolderSynced"] {
        let (folder, path) = one_file("old");
        assert_eq!(fs::read(&path).unwrap().len(), FOREIGN.len());
        ended(run_beside(Some(FOREIGN), step, &path));
        assert_eq!(content(&path).as_deref(), Some("new"), "{step}");
        for next in STEPS {
            ended(run_until(&format!("{next:?}"), &path));
        }
        let outcome = write_on(&Version::new("another"), &path, "next");
        assert!(matches!(outcome, StoreOutcome::Conflict { .. }), "{outcome:?}");

        assert_eq!(told(write(&path, "next")).as_deref(), Some(FOREIGN), "{step}");
        assert_eq!(content(&path).as_deref(), Some("next"));
        assert_eq!(told(write(&path, "last")), None, "{step}: it is told twice");
        let names = names(folder.path());
        assert!(names.len() == 3 && names[1].starts_with("it's ksm.json.displaced-"), "{step}: {names:?}");
    }
}

#[test]
fn several_displaced_files_are_told_together() {
    let (_folder, path) = one_file("old");
    ended(run_beside(Some("first "), "Placed", &path));
    ended(run_beside(Some("second "), "Placed", &path));
    let foreign = path.clone();
    let outcome = write_while(Step::Synced, &path, move || fs::write(&foreign, "third").unwrap());
    assert_eq!(told(outcome).as_deref(), Some("first second third"));
}

#[test]
fn what_was_left_and_cannot_be_removed_is_an_error() {
    let (_folder, path) = one_file("old");
    ended(run_until("Begun", &path));
    let place = Place::of(&path).unwrap();
    fs::create_dir(place.temporary(lock::last_writer(&place).unwrap().unwrap().nonce)).unwrap();
    let error =
        store(&path, Durability::Synced, &version(&path), &Payload::from("next"), || true).unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotApplied);
    assert!(error.to_string().contains(".tmp"), "{error}");
}

#[test]
fn what_was_left_and_cannot_be_looked_at_is_kept() {
    let (folder, path) = one_file("old");
    ended(run_beside(Some(FOREIGN), "Placed", &path));
    let left = left(folder.path());
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(&left, &elsewhere).unwrap();
    symlink(&elsewhere, &left).unwrap();
    assert_eq!(told(write(&path, "next")).as_deref(), Some(FOREIGN));
}

#[test]
fn what_a_process_left_half_written_is_not_taken_for_another_programs() {
    let (folder, path) = one_file("old");
    ended(run_until("Written", &path));
    OpenOptions::new().write(true).open(left(folder.path())).unwrap().set_len(10).unwrap();
    assert_eq!(told(write(&path, "next")), None);
    assert_eq!(names(folder.path()).len(), 2);

    // Not even where another program has replaced the file since.
    ended(run_until("Written", &path));
    OpenOptions::new().write(true).open(left(folder.path())).unwrap().set_len(10).unwrap();
    fs::write(&path, "foreign").unwrap();
    assert_eq!(told(write(&path, "next")), None);
    assert_eq!(names(folder.path()).len(), 2);
}

#[test]
fn what_was_displaced_is_told_though_the_old_content_has_been_put_back() {
    let (_folder, path) = one_file("old");
    let old = fs::read(&path).unwrap();
    ended(run_beside(Some(FOREIGN), "Placed", &path));
    fs::write(&path, old).unwrap();
    assert_eq!(told(write(&path, "next")).as_deref(), Some(FOREIGN));
}

#[test]
fn what_nobody_has_heard_of_is_told_by_the_next() {
    let (_folder, path) = one_file("old");
    let (expected, foreign) = (version(&path), path.clone());
    let hook = move |step| {
        if step == Step::Synced {
            fs::write(&foreign, FOREIGN).unwrap();
        }
    };
    let unheard = || store(&path, Durability::Synced, &expected, &Payload::from("new"), || false).unwrap();
    during(hook, unheard);
    assert_eq!(content(&path).as_deref(), Some("new"));
    assert_eq!(told(write(&path, "next")).as_deref(), Some(FOREIGN));
    assert_eq!(told(write(&path, "last")), None);
}

#[tokio::test]
async fn a_store_that_is_dropped_tells_nobody_and_leaves_it_to_the_next() {
    let (_folder, path) = one_file("old");
    ended(run_beside(Some(FOREIGN), "Placed", &path));
    let backend = FileBackend::new(&path);
    let expected = backend.load().await.unwrap().version().clone();
    let held = Lock::acquire(&Place::of(&path).unwrap()).unwrap();
    let payload = Payload::from("dropped");
    timeout(Duration::from_millis(20), backend.store(&expected, &payload)).await.unwrap_err();
    drop(held);
    let stored = async {
        while content(&path).as_deref() != Some("dropped") {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(10), stored).await.unwrap();
    assert_eq!(told(write(&path, "next")).as_deref(), Some(FOREIGN));
}
