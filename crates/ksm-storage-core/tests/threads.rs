//! Threads of blocking handles, in a test program of their own so that they can be counted.
#![allow(missing_docs, clippy::unwrap_used, reason = "these are tests")]
#![cfg(target_os = "linux")]

use std::fs;

use ksm_storage_core::{ConfigKey::Url, blocking::ConfigStorage};
use ksm_storage_memory::MemoryBackend;

#[test]
fn fifty_handles_share_two_threads() {
    let handles: Vec<_> =
        (0..50).map(|_| ConfigStorage::open(MemoryBackend::from_config("{}")).unwrap()).collect();
    for storage in &handles {
        storage.set(Url, "u").unwrap();
        storage.refresh().unwrap();
    }
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("comm")).unwrap());
    assert_eq!(names.filter(|name| name == "ksm-storage\n").count(), 2);
}
