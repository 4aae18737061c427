//! What reading and writing costs, beside the bare parts it is made of.
//!
//! The read path is measured against an `ArcSwap::load` with an array index, and on two threads against a loop that
//! touches nothing shared, so that the figures are ratios of one run.
#![allow(missing_docs, clippy::expect_used, reason = "a bench is no library")]

use std::{
    hint::black_box,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ksm_storage::{
    ConfigDocument, ConfigKey, ConfigStorage, Error, ExposeSecret, blocking, memory::MemoryBackend,
};

/// A bound configuration with values as long as real ones.
fn real_size() -> String {
    let fields = [
        ("appKey", 44),
        ("appOwnerPublicKey", 87),
        ("clientId", 88),
        ("hostname", 18),
        ("privateKey", 184),
        ("serverPublicKeyId", 2),
    ];
    let fields: Vec<_> =
        fields.iter().map(|(name, len)| format!("\"{name}\": \"{}\"", "x".repeat(*len))).collect();
    format!("{{{}}}", fields.join(", "))
}

fn open() -> ConfigStorage {
    runtime()
        .block_on(ConfigStorage::open(MemoryBackend::from_config(real_size())))
        .expect("it is a document")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("a runtime")
}

/// The time of `iterations` calls on each of `threads` threads that start together.
fn on_threads(threads: usize, iterations: u64, call: impl Fn() + Sync) -> Duration {
    let barrier = Barrier::new(threads);
    thread::scope(|scope| {
        let timers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    let start = Instant::now();
                    for _ in 0..iterations {
                        call();
                    }
                    start.elapsed()
                })
            })
            .collect();
        timers
            .into_iter()
            .map(|timer| timer.join().expect("no timer panics"))
            .max()
            .expect("there are threads")
    })
}

fn read(c: &mut Criterion) {
    let storage = open();
    let bare = ArcSwap::from_pointee([Some(1_u64); 11]);
    let mut group = c.benchmark_group("read");
    group.throughput(Throughput::Elements(1));
    for threads in [1, 2] {
        group.bench_function(format!("control/{threads}"), |b| {
            b.iter_custom(|n| {
                on_threads(threads, n, || {
                    let mut sum = 0_u64;
                    for step in 0..16_u64 {
                        sum = black_box(sum.wrapping_mul(31).wrapping_add(step));
                    }
                    black_box(sum);
                })
            });
        });
        group.bench_function(format!("arc_swap_load_index/{threads}"), |b| {
            b.iter_custom(|n| {
                on_threads(threads, n, || {
                    black_box(bare.load()[black_box(ConfigKey::PrivateKey as usize)]);
                })
            });
        });
        group.bench_function(format!("get/{threads}"), |b| {
            b.iter_custom(|n| {
                on_threads(threads, n, || {
                    black_box(storage.get(black_box(ConfigKey::PrivateKey)));
                })
            });
        });
        group.bench_function(format!("snapshot/{threads}"), |b| {
            b.iter_custom(|n| {
                on_threads(threads, n, || {
                    black_box(storage.snapshot());
                })
            });
        });
    }
    group.finish();
}

fn write(c: &mut Criterion) {
    let mut group = c.benchmark_group("write");
    let storage = open();
    let mut count = 0_u64;
    group.bench_function("update", |b| {
        b.to_async(runtime()).iter(|| {
            count += 1;
            let value = count.to_string();
            storage.update(move |document| {
                document.set(ConfigKey::ServerPublicKeyId, value.as_str());
                Ok::<_, Error>(())
            })
        });
    });
    let storage =
        blocking::ConfigStorage::open(MemoryBackend::from_config(real_size())).expect("it is a document");
    group.bench_function("update_blocking", |b| {
        b.iter(|| {
            count += 1;
            storage.set(ConfigKey::ServerPublicKeyId, count.to_string())
        });
    });
    group.finish();
}

fn document(c: &mut Criterion) {
    let json = real_size();
    let document = ConfigDocument::parse(json.as_bytes()).expect("it is a document");
    assert_eq!(document.get(ConfigKey::PrivateKey).map(|key| key.expose_secret().len()), Some(184));
    let mut group = c.benchmark_group("document");
    group.throughput(Throughput::Bytes(json.len() as u64));
    group.bench_function("parse", |b| b.iter(|| ConfigDocument::parse(black_box(json.as_bytes()))));
    group.bench_function("serialise", |b| b.iter(|| black_box(&document).to_payload()));
    group.finish();
}

criterion_group!(benches, read, write, document);
criterion_main!(benches);
