//! Adverse surroundings: each call succeeds, or fails with a one-line error that names the path and the remedy.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::print_stderr)]
#![cfg(target_os = "linux")]

use std::{
    env, fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, chown, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use ksm_storage_core::{ConfigKey, ConfigStorage, Error, ErrorKind, Outcome};
use ksm_storage_file::FileBackend;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

const FOREIGN_OWNER: u32 = 4_711;

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ksm.json");
    (folder, path)
}

fn put(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

async fn write(path: &Path) -> Result<(), Error> {
    let value = fastrand::u64(..).to_string();
    ConfigStorage::open_or_create(FileBackend::new(path)).await?.set(ConfigKey::Url, value).await
}

/// Asserts a permanent one-line error that ends in a remedy with `words`.
fn check(error: &Error, kind: ErrorKind, words: &str) {
    let line = error.to_string();
    assert_eq!((error.kind(), error.outcome()), (kind, Outcome::NotApplied), "{line}");
    assert!(!error.is_retryable(), "{line}");
    assert!(line.contains(words), "{line}");
    assert!(!line.contains(char::is_control) && !line.contains("s3cret"), "{line:?}");
}

async fn refused(path: &Path, kind: ErrorKind, words: &str) {
    check(&write(path).await.unwrap_err(), kind, words);
}

#[tokio::test]
async fn unusable_paths_are_named() {
    use ErrorKind::{InvalidArgument, InvalidConfig, NotFound, Unexpected};
    let (folder, path) = folder();
    let at = |name: &str| folder.path().join(name);
    put(&path, b"{}");
    symlink("loop", at("loop")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    fs::create_dir(at("folder")).unwrap();
    mknodat(CWD, at("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let _listener = UnixListener::bind(at("socket")).unwrap();
    for (path, kind, words) in [
        (at("ksm.json/x"), InvalidArgument, "correct the path"),
        (at("loop"), InvalidArgument, "remove the symbolic link"),
        (at("dangling"), NotFound, "correct or remove the link"),
        (at("folder"), InvalidArgument, "set the path of a file"),
        (at("pipe"), InvalidArgument, "set the path of a file"),
        (at("socket"), InvalidArgument, "set the path of a regular file"),
        (at("missing/x"), NotFound, "mkdir -m 700 "),
        (at("missing\n/x"), NotFound, r"missing\n"),
        (at(&"n".repeat(256)), InvalidArgument, "shorten the path"),
        // The name itself is short enough, but that of the temporary file is not.
        (at(&"n".repeat(240)), InvalidArgument, "shorten the path"),
        (at("nul\0"), InvalidArgument, "correct the path"),
        ("".into(), InvalidArgument, "add the name of the file"),
        ("/".into(), InvalidArgument, "add the name of the file"),
        ("..".into(), InvalidArgument, "set the path of a file"),
        ("/nowhere/..".into(), NotFound, "mkdir"),
        ("/dev/null".into(), InvalidArgument, "set the path of a file"),
        ("/proc/self/environ".into(), InvalidConfig, "environ"),
        ("/proc/self/mem".into(), Unexpected, "regular file"),
        ("/proc/ksm.json".into(), NotFound, "accepts files"),
    ] {
        refused(&path, kind, words).await;
    }
    assert_eq!(fs::read(&path).unwrap(), b"{}");
}

#[tokio::test]
async fn unusual_names_work() {
    for name in [&b"-n"[..], b" a b ", b"a\nb", b"*", b"$(x)", b"\xff\xfe", "ü".as_bytes()] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(std::ffi::OsStr::from_bytes(name));
        write(&path).await.unwrap();
        let storage = ConfigStorage::open(FileBackend::new(&path)).await.unwrap();
        assert!(storage.contains(ConfigKey::Url));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        refused(&path, ErrorKind::AccessDenied, "chmod 600 ").await;
    }
}

#[tokio::test]
async fn no_configuration_is_refused() {
    let (_folder, path) = folder();
    for content in [
        &b""[..],
        b"s3cret \xff",
        b"\xef\xbb\xbf\xff",
        b"{\"url\":\"s3cret\"",
        b"\0\0\0\0",
        &b"[".repeat(60_000),
        &b" ".repeat(70_000),
    ] {
        put(&path, content);
        refused(&path, ErrorKind::InvalidConfig, "").await;
        assert_eq!(fs::read(&path).unwrap(), content);
    }
    // A sparse terabyte.
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    refused(&path, ErrorKind::InvalidConfig, "is larger than 65601 bytes").await;
}

/// A read of a file that is written in place returns one of its complete states, or an error.
#[test]
fn truncated_file_is_not_half_read() {
    let (_folder, path) = folder();
    let long = format!(r#"{{"url":"{}"}}"#, "l".repeat(60_000));
    put(&path, long.as_bytes());
    let editor = {
        let (path, long) = (path.clone(), long.clone());
        thread::spawn(move || {
            for _ in 0..500 {
                fs::write(&path, r#"{"url":"s"}"#).unwrap();
                fs::write(&path, &long).unwrap();
            }
        })
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    while !editor.is_finished() {
        // Meanwhile the file is empty or truncated, and neither is a configuration.
        match runtime.block_on(ConfigStorage::open(FileBackend::new(&path))) {
            Ok(storage) => {
                let len = storage.get(ConfigKey::Url).unwrap().expose_secret().len();
                assert!([1, 60_000].contains(&len), "{len}");
            }
            Err(error) => {
                let expected = [ErrorKind::InvalidConfig, ErrorKind::Unavailable];
                assert!(expected.contains(&error.kind()), "{error}");
            }
        }
    }
    editor.join().unwrap();
}

#[tokio::test]
async fn unusable_locks_are_refused() {
    type Plant = fn(&Path, &Path);
    let plants: [(Plant, &str); 5] = [
        (|lock, other| fs::hard_link(other, lock).unwrap(), "is a hard link to another file"),
        (|lock, other| symlink(other, lock).unwrap(), "remove the symbolic link"),
        (|lock, _| symlink("nowhere", lock).unwrap(), "remove the symbolic link"),
        (|lock, _| fs::create_dir(lock).unwrap(), "of a file, not of a folder"),
        (
            |lock, _| mknodat(CWD, lock, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap(),
            "not a regular file",
        ),
    ];
    for (plant, words) in plants {
        let (folder, path) = folder();
        let (lock, other) = (folder.path().join("ksm.json.lock"), folder.path().join("other"));
        put(&other, b"precious content");
        plant(&lock, &other);
        refused(&path, ErrorKind::InvalidArgument, words).await;
        // The file exists already, so that a write only locks the lock file.
        put(&path, b"{}");
        refused(&path, ErrorKind::InvalidArgument, words).await;
        assert_eq!(fs::read(&other).unwrap(), b"precious content");
        assert!(!folder.path().join("nowhere").exists());
    }
}

/// Only root can change the owner of a file, and read another user's file.
#[tokio::test]
async fn files_of_others_are_refused() {
    let (folder, path) = folder();
    put(&path, br#"{"url":"s3cret"}"#);
    let storage = ConfigStorage::open(FileBackend::new(&path)).await.unwrap();
    if chown(&path, Some(FOREIGN_OWNER), None).is_err() {
        eprintln!("not checked: only root can change the owner of a file");
        return;
    }
    let error = storage.set(ConfigKey::Url, "new").await.unwrap_err();
    check(&error, ErrorKind::AccessDenied, "uid 4711");
    refused(&path, ErrorKind::AccessDenied, "chown \"$(id -u)\" ").await;
    assert_eq!(fs::read(&path).unwrap(), br#"{"url":"s3cret"}"#);
    chown(&path, Some(0), None).unwrap();
    write(&path).await.unwrap();
    let lock = folder.path().join("ksm.json.lock");
    chown(&lock, Some(FOREIGN_OWNER), None).unwrap();
    refused(&path, ErrorKind::AccessDenied, "ksm.json.lock belongs to another user").await;
}

fn child(script: &str, test: &str, variable: &str, path: &Path) -> bool {
    let output = Command::new("sh")
        .args(["-c", script])
        .args([env::current_exe().unwrap().as_os_str(), test.as_ref(), path.as_os_str()])
        .env(variable, path)
        .output()
        .unwrap();
    let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    if output.status.code() == Some(77) {
        eprintln!("not checked: {printed:?}");
        return false;
    }
    assert!(output.status.success(), "{script}: {printed:?}");
    true
}

#[tokio::test]
async fn umask_changes_no_mode() {
    const CHILD: &str = "KSM_STORAGE_UMASK_CHILD";
    if let Some(path) = env::var_os(CHILD) {
        write(Path::new(&path)).await.unwrap();
        write(Path::new(&path)).await.unwrap();
        return;
    }
    for umask in ["0777", "0000", "0277"] {
        let (folder, path) = folder();
        let script = format!(r#"umask {umask}; exec "$0" --exact "$1""#);
        assert!(child(&script, "umask_changes_no_mode", CHILD, &path));
        for name in ["ksm.json", "ksm.json.lock"] {
            assert_eq!(mode(&folder.path().join(name)), 0o600, "{umask}: {name}");
        }
    }
}

/// Mounts file systems in a separate mount namespace.
#[tokio::test]
async fn mounts_have_their_remedies() {
    const CHILD: &str = "KSM_STORAGE_MOUNTS_CHILD";
    const SCRIPT: &str = r#"
        exec unshare -rm sh -c '
            at=$(dirname "$2")
            { mkdir "$at/bind" "$at/full" "$at/read-only" && printf "{}" > "$at/bind/ksm.json" &&
              mount -t tmpfs -o size=16k,mode=700 none "$at/full" &&
              mount -t tmpfs -o size=1m,mode=700 none "$at/read-only" &&
              chmod 600 "$at/bind/ksm.json" && cp -p "$at/bind/ksm.json" "$at/full" &&
              cp -p "$at/bind/ksm.json" "$at/read-only" && cp -p "$at/bind/ksm.json" "$at/source" &&
              mount --bind "$at/source" "$at/bind/ksm.json" && mount -o remount,ro "$at/read-only" || exit 77; }
            cat /dev/zero > "$at/full/filler" 2> /dev/null
            exec "$0" --exact "$1" --nocapture
        ' "$0" "$1" "$2" || exit 77"#;
    let Some(path) = env::var_os(CHILD) else {
        let (_folder, path) = folder();
        child(SCRIPT, "mounts_have_their_remedies", CHILD, &path);
        return;
    };
    let folder = Path::new(&path).parent().unwrap();
    for (name, kind, words) in [
        ("bind", ErrorKind::InvalidArgument, "mount its folder instead"),
        ("full", ErrorKind::QuotaExceeded, "free space or inodes"),
        ("read-only", ErrorKind::ReadOnly, "open the storage read-only"),
    ] {
        let path = folder.join(name).join("ksm.json");
        ConfigStorage::open(FileBackend::new(&path)).await.unwrap();
        refused(&path, kind, words).await;
        assert_eq!(fs::read(&path).unwrap(), b"{}");
        assert!(FileBackend::new(&path).leftovers().await.unwrap().is_empty(), "{name}");
    }
}
