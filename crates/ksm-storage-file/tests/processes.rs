//! Processes that write one file concurrently, and processes that are killed during a write.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]
#![cfg(unix)]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use ksm_storage_core::{ConfigKey, Error, ExposeSecret, blocking::ConfigStorage};
use ksm_storage_file::{Durability, FileBackend};

const PROCESSES: u64 = 4;
const INCREMENTS: u64 = 100;
const KILLS: u64 = 60;

fn backend(path: &Path, durability: &str) -> FileBackend {
    let durability = if durability == "synced" { Durability::Synced } else { Durability::Relaxed };
    FileBackend::builder(path).durability(durability).build()
}

fn count(storage: &ConfigStorage) -> u64 {
    storage.get(ConfigKey::Url).map_or(0, |count| count.expose_secret().parse().unwrap())
}

/// Counts up, and prints each acknowledged number.
#[test]
#[ignore = "run as a child process by the other tests"]
fn child() {
    let variable = |name: &str| env::var(name).unwrap();
    let path = variable("CHILD_PATH");
    let storage = ConfigStorage::open(backend(Path::new(&path), &variable("CHILD_DURABILITY"))).unwrap();
    for _ in 0..variable("CHILD_INCREMENTS").parse().unwrap() {
        let count = storage
            .update(|document| {
                let count = document.get(ConfigKey::Url).map_or("0", |count| count.expose_secret());
                let count = count.parse::<u64>().map_err(|_| Error::refused("no number"))? + 1;
                document.set(ConfigKey::Url, count.to_string());
                Ok::<_, Error>(count)
            })
            .unwrap();
        println!("acknowledged {count}");
    }
}

fn spawn(path: &Path, durability: &str, increments: u64) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "child", "--nocapture"])
        .env_clear()
        .env("CHILD_PATH", path)
        .env("CHILD_DURABILITY", durability)
        .env("CHILD_INCREMENTS", increments.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs `meanwhile` repeatedly while processes increment; all increments must succeed.
fn increments_count(meanwhile: impl Fn(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ksm.json");
    let storage = ConfigStorage::open_or_create(FileBackend::new(&path)).unwrap();
    let mut children: Vec<_> = (0..PROCESSES).map(|_| spawn(&path, "relaxed", INCREMENTS)).collect();
    while children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
        meanwhile(&path);
    }
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    storage.refresh().unwrap();
    assert_eq!(count(&storage), PROCESSES * INCREMENTS);
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.len() <= 2, "{names:?}");
}

#[test]
fn increments_of_processes_all_count() {
    increments_count(|_| thread::sleep(Duration::from_millis(1)));
}

#[test]
fn increments_survive_deleted_locks() {
    increments_count(|path| {
        let _ = fs::remove_file(path.with_extension("json.lock"));
        thread::sleep(Duration::from_micros(fastrand::u64(0..2_000)));
    });
}

/// A child is killed at a random moment. All acknowledged writes are present, and at most one more.
#[test]
fn killed_process_loses_no_acknowledged_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ksm.json");
    let storage = ConfigStorage::open_or_create(FileBackend::new(&path)).unwrap();
    let (mut last, mut leftovers) = (0, 0);
    for seed in 0..KILLS {
        let mut child = spawn(&path, "synced", 1_000_000);
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("acknowledged") {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "it ended by itself");
        }
        thread::sleep(Duration::from_micros(fastrand::Rng::with_seed(seed).u64(0..10_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut rest = line;
        lines.read_to_string(&mut rest).unwrap();
        let whole = &rest[..=rest.rfind('\n').unwrap()];
        let acknowledged = whole.lines().last().unwrap().rsplit(' ').next().unwrap().parse().unwrap();

        let files = fs::read_dir(folder.path()).unwrap().count() - 2;
        assert!((leftovers..=leftovers + 1).contains(&files), "seed {seed}: {files} after {leftovers}");
        leftovers = files;
        storage.refresh().unwrap();
        let found = count(&storage);
        assert!(
            (acknowledged..=acknowledged + 1).contains(&found),
            "seed {seed}: {acknowledged} were acknowledged, {found} found"
        );
        assert!(acknowledged > last, "seed {seed}");
        last = found;
    }
    println!("{last} writes, {KILLS} kills, {leftovers} of them in the middle of a write");
    assert!(leftovers > 0, "no process was killed in the middle of a write, so this proves nothing");
}
