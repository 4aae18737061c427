//! File system behaviour of the backend: permissions and links.
#![allow(missing_docs, clippy::unwrap_used)]
#![cfg(unix)]

use std::{
    fs,
    future::Future,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    pin::pin,
    task::{Context, Poll, Waker},
};

use ksm_storage_core::{
    ConfigKey, ConfigStorage, Error, ErrorKind, Outcome, Payload, StorageBackend, StoreOutcome, Version,
};
use ksm_storage_file::FileBackend;
use tempfile::TempDir;

#[path = "../../ksm-storage-core/tests/warnings/mod.rs"]
mod warnings;

use self::warnings::Warnings;

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ksm.json");
    (folder, path)
}

fn put(path: &Path, content: &str, mode: u32) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

async fn refused(path: &Path) -> Error {
    ConfigStorage::open(FileBackend::new(path)).await.err().unwrap()
}

async fn set(path: &Path, value: &str) -> Result<(), Error> {
    ConfigStorage::open(FileBackend::new(path)).await?.set(ConfigKey::Url, value).await
}

#[tokio::test]
async fn created_files_are_private() {
    let (folder, path) = folder();
    let storage = ConfigStorage::open_or_create(FileBackend::new(&path)).await.unwrap();
    storage.set(ConfigKey::Url, "u").await.unwrap();
    for entry in fs::read_dir(folder.path()).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.trim_end_matches([' ', '\t']), "{\n    \"url\": \"u\"\n}\n");
}

#[tokio::test]
async fn shared_file_is_refused() {
    let (_folder, path) = folder();
    for bits in [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o666] {
        put(&path, r#"{"url":"s3cret"}"#, bits);
        let error = refused(&path).await;
        assert_eq!(error.kind(), ErrorKind::AccessDenied, "{bits:o}");
        let text = error.to_string();
        assert!(text.ends_with(&format!("chmod 600 {}", path.display())), "{text}");
        assert!(text.contains(&format!("{bits:04o}")) && !text.contains("s3cret"), "{text}");
    }
    put(&path, "{}", 0o600);
    let storage = ConfigStorage::open(FileBackend::new(&path)).await.unwrap();
    put(&path, "{}", 0o644);
    let error = storage.set(ConfigKey::Url, "u").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::AccessDenied, Outcome::NotApplied));
    assert_eq!(fs::read_to_string(&path).unwrap(), "{}");
}

#[tokio::test]
async fn edit_in_place_is_not_lost() {
    let (_folder, path) = folder();
    put(&path, r#"{"url":"1"}"#, 0o600);
    let backend = FileBackend::new(&path);
    let loaded = backend.load().await.unwrap();
    // The length and the inode stay the same, and perhaps even the modification time.
    fs::write(&path, r#"{"url":"2"}"#).unwrap();
    assert_ne!(backend.load().await.unwrap().version(), loaded.version());
    let stored = backend.store(loaded.version(), &Payload::from(r#"{"url":"3"}"#)).await.unwrap();
    assert!(matches!(stored, StoreOutcome::Conflict { .. }), "{stored:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), r#"{"url":"2"}"#);
}

#[tokio::test]
async fn write_protected_file_is_not_written() {
    let (_folder, path) = folder();
    put(&path, "{}", 0o400);
    let error = set(&path, "u").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::AccessDenied, Outcome::NotApplied));
    assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("{}", 0o400));
}

#[tokio::test]
async fn too_large_file_is_not_read() {
    let (_folder, path) = folder();
    let largest = format!("{{}}{}", " ".repeat(65_536 - 2));
    put(&path, &largest, 0o600);
    assert!(ConfigStorage::open(FileBackend::new(&path)).await.is_ok());
    put(&path, &largest.repeat(2), 0o600);
    let backend = FileBackend::new(&path);
    assert_eq!(backend.load().await.unwrap_err().kind(), ErrorKind::InvalidConfig);
    let too_large = Payload::from(largest + " ");
    let error = backend.store(&Version::new("any"), &too_large).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::TooLarge, Outcome::NotApplied));
}

#[tokio::test]
async fn links_are_followed_and_stay() {
    let (folder, path) = folder();
    put(&path, "{}", 0o600);
    let (inner, outer) = (folder.path().join("inner"), tempfile::tempdir().unwrap());
    symlink("ksm.json", &inner).unwrap();
    let link = outer.path().join("link.json");
    symlink(&inner, &link).unwrap();
    set(&link, "through the link").await.unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(!fs::symlink_metadata(&path).unwrap().is_symlink());
    assert!(fs::read_to_string(&path).unwrap().contains("through the link"));
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1, "something was made beside the link");

    // Both paths lead to the same store.
    let (one, other) = (FileBackend::new(&link), FileBackend::new(&path));
    let expected = one.load().await.unwrap().version().clone();
    assert!(matches!(one.store(&expected, &"{}".into()).await, Ok(StoreOutcome::Committed { .. })));
    assert!(matches!(other.store(&expected, &"{}".into()).await, Ok(StoreOutcome::Conflict { .. })));
}

/// Every opening reports leftovers of interrupted writes; nothing deletes them.
#[test]
fn opening_reports_leftovers() {
    let (folder, path) = folder();
    put(&path, "{}", 0o600);
    let names = ["ksm.json.displaced-0123456789abcdef", "ksm.json.temporary-0000000000000001"];
    let others =
        ["ksm.json.temporary-1", "ksm.json.displaced-0123456789abcdeg", "x.temporary-0000000000000001"];
    names.iter().chain(&others).for_each(|name| put(&folder.path().join(name), "s3cret", 0o644));
    let warnings = Warnings::of("ksm_storage");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let found = tracing::subscriber::with_default(warnings.subscriber(), || {
        runtime.block_on(async {
            for _ in 0..2 {
                let storage = ConfigStorage::open(FileBackend::new(&path)).await.unwrap();
                storage.refresh().await.unwrap();
                storage.set(ConfigKey::Url, fastrand::u64(..).to_string()).await.unwrap();
            }
            FileBackend::new(&path).leftovers().await.unwrap()
        })
    });
    let expected = names.map(|name| folder.path().join(name));
    assert_eq!(found, expected);
    let log = warnings.text();
    for path in &expected {
        assert_eq!(log.matches(&path.display().to_string()).count(), 2, "{log}");
        assert_eq!((fs::read_to_string(path).unwrap().as_str(), mode(path)), ("s3cret", 0o600));
    }
    assert!(log.lines().count() == 4 && !log.contains("s3cret"), "{log}");
}

#[test]
fn call_without_runtime_is_an_error() {
    let (_folder, path) = folder();
    let backend = FileBackend::new(&path);
    let load = pin!(backend.load());
    let Poll::Ready(Err(error)) = load.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it is no error")
    };
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Runtime, Outcome::NotApplied));
}

#[test]
fn relative_path_is_made_absolute() {
    let location = FileBackend::new("ksm.json").location();
    assert!(Path::new(location.address()).is_absolute(), "{location}");
    assert!(location.address().ends_with("ksm.json"), "{location}");
}

/// A load and a store each wait in one place, for the worker thread. Dropped before that, nothing has happened; dropped
/// there, the work continues, and another store finds either all of it or nothing.
#[tokio::test]
async fn dropped_call_applies_at_most_once() {
    let (_folder, path) = folder();
    let backend = FileBackend::new(&path);
    ConfigStorage::open_or_create(backend.clone()).await.unwrap();
    let mut stored = 0;
    for (round, polls) in [0, 1, 0, 1, 1, 1, 0, 1].into_iter().enumerate() {
        let before = backend.load().await.unwrap();
        let payload = Payload::from(format!("{{\"round\": {round}}}"));
        for _ in 0..polls {
            // The thread may already be done, but usually is not.
            let _ = pin!(backend.load()).poll(&mut Context::from_waker(Waker::noop()));
            let _ =
                pin!(backend.store(before.version(), &payload)).poll(&mut Context::from_waker(Waker::noop()));
        }
        drop((backend.load(), backend.store(before.version(), &payload)));
        // Whichever comes first, this store or the dropped one, invalidates the condition of the other.
        let own = backend.store(before.version(), &"{}".into()).await.unwrap();
        let after = backend.load().await.unwrap();
        let mut expected = Payload::from("{}");
        if let StoreOutcome::Conflict { .. } = own {
            assert_eq!(polls, 1, "what was never polled has stored");
            stored += 1;
            expected = payload;
        }
        assert_eq!(after.payload(), Some(&expected));
        // A dropped store that comes too late no longer changes anything.
        let after = backend.load().await.unwrap();
        let outcome = backend.store(after.version(), &"{}".into()).await.unwrap();
        assert!(matches!(outcome, StoreOutcome::Committed { .. }), "{outcome:?}");
    }
    assert!(stored > 0, "no dropped store took effect, so this shows little");
}
