//! Processes that write one file at the same time, and processes that are killed while they do.
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

/// Counts up one by one, and says so after each acknowledged write.
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

#[test]
fn increments_of_processes_all_count() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ksm.json");
    let storage = ConfigStorage::open_or_create(FileBackend::new(&path)).unwrap();
    let children: Vec<_> = (0..PROCESSES).map(|_| spawn(&path, "relaxed", INCREMENTS)).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    storage.refresh().unwrap();
    assert_eq!(count(&storage), PROCESSES * INCREMENTS);
}

/// A child is killed at a moment of chance; whatever was acknowledged is there, and at most one write more.
#[test]
fn a_killed_process_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ksm.json");
    let storage = ConfigStorage::open_or_create(FileBackend::new(&path)).unwrap();
    let (mut last, mut amidst) = (0, 0);
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
        let told = whole.lines().last().unwrap().rsplit(' ').next().unwrap().parse().unwrap();

        let leftovers = fs::read_dir(folder.path()).unwrap().count() - 2;
        amidst += u64::from(leftovers > 0);
        assert!(leftovers <= 1, "seed {seed}: {leftovers} temporary files");
        storage.refresh().unwrap();
        let found = count(&storage);
        assert!((told..=told + 1).contains(&found), "seed {seed}: {told} were acknowledged, {found} found");
        assert!(told > last, "seed {seed}");
        last = found;
    }
    println!("{last} writes, {KILLS} kills, {amidst} of them in the middle of a write");
    assert!(amidst > 0, "no process was killed in the middle of a write, so this shows nothing");
    storage.delete(ConfigKey::Url).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "a temporary file is left");
}
