//! Threads of blocking handles, in a test program of their own so that they can be counted.
#![allow(missing_docs, clippy::unwrap_used, reason = "these are tests")]
#![cfg(target_os = "linux")]

use std::{
    fs,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use ksm_storage_core::{ConfigKey::Url, blocking::ConfigStorage};
use ksm_storage_memory::MemoryBackend;

/// Opened at once, so that several threads start the runtime, of which one remains.
#[test]
fn fifty_handles_share_two_threads() {
    let at_once = Barrier::new(10);
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                at_once.wait();
                let handles = [0; 5].map(|_| ConfigStorage::open(MemoryBackend::from_config("{}")).unwrap());
                for storage in &handles {
                    storage.set(Url, "u").unwrap();
                    storage.refresh().unwrap();
                }
            });
        }
    });
    let count = || {
        let tasks = fs::read_dir("/proc/self/task").unwrap();
        let names = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
        names.filter(|name| name == "ksm-storage\n").count()
    };
    // The threads of the others end on their own.
    let start = Instant::now();
    while count() != 2 {
        assert!(start.elapsed() < Duration::from_secs(10), "{} threads", count());
        thread::sleep(Duration::from_millis(10));
    }
}
