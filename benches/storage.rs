//! Costs of writing and parsing in one process: `cargo bench --package performance`.
#![allow(missing_docs, clippy::expect_used, reason = "a benchmark is no library")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
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

/// Calls that queue up and are one batch: each costs the same in a large document as in a small one.
fn queued_sets(c: &mut Criterion) {
    const CALLS: u64 = 10_000;
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let mut group = c.benchmark_group("queued_set");
    group.sample_size(20).throughput(Throughput::Elements(CALLS));
    for (name, keys) in [("1 kB", 20), ("60 kB", 1_200)] {
        let opened = runtime.block_on(ConfigStorage::open(MemoryBackend::from_config(document(keys))));
        let storage = opened.expect("a document");
        let queue = || -> Vec<_> {
            (0..CALLS)
                .map(|value| {
                    let storage = storage.clone();
                    async move { storage.set(ConfigKey::ServerPublicKeyId, value.to_string()).await }
                })
                .collect()
        };
        group.bench_function(name, |b| {
            b.to_async(&runtime).iter_batched(
                queue,
                |calls| async {
                    let calls: Vec<_> = calls.into_iter().map(tokio::spawn).collect();
                    for call in calls {
                        call.await.expect("no panic").expect("a store");
                    }
                },
                BatchSize::PerIteration,
            );
        });
    }
}

/// A document of about 50 bytes a key.
fn document(keys: usize) -> String {
    let keys = (0..keys).map(|key| format!("\"key {key:06}\": \"{key:030}\""));
    format!("{{{}}}", keys.collect::<Vec<_>>().join(", "))
}

criterion_group!(benches, storage, queued_sets);
criterion_main!(benches);
