//! Costs of writing and parsing in one process: `cargo bench --package performance`.
#![allow(missing_docs, clippy::expect_used, reason = "a benchmark is no library")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use ksm_storage_core::{ConfigDocument, ConfigKey, ConfigStorage};
use ksm_storage_memory::MemoryBackend;
use tokio::runtime::Builder;

/// A bound configuration with values as long as real ones.
const CONFIGURATION: &str = include_str!("configuration.json");

fn storage(c: &mut Criterion) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("a runtime");
    let opened = runtime.block_on(ConfigStorage::open(MemoryBackend::from_config(CONFIGURATION)));
    let storage = opened.expect("a document");
    let mut count = 0_u64;
    c.bench_function("set", |b| {
        b.to_async(&runtime).iter(|| {
            count += 1;
            storage.set(ConfigKey::ServerPublicKeyId, count.to_string())
        });
    });
    c.bench_function("parse", |b| b.iter(|| ConfigDocument::parse(black_box(CONFIGURATION.as_bytes()))));
}

criterion_group!(benches, storage);
criterion_main!(benches);
