//! What reading and writing costs, beside the bare parts it is made of.
//!
//! On several threads, and beside a peer, reads are measured in `benches/reads`.
#![allow(missing_docs, clippy::expect_used, reason = "a bench is no library")]

use std::hint::black_box;

use arc_swap::ArcSwap;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ksm_storage::{
    ConfigDocument, ConfigKey, ConfigStorage, Error, ExposeSecret, blocking, memory::MemoryBackend,
};

/// A bound configuration with values as long as real ones.
const CONFIGURATION: &str = include_str!("configuration.json");

fn open() -> ConfigStorage {
    runtime()
        .block_on(ConfigStorage::open(MemoryBackend::from_config(CONFIGURATION)))
        .expect("it is a document")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("a runtime")
}

fn read(c: &mut Criterion) {
    let storage = open();
    let bare = ArcSwap::from_pointee([Some(1_u64); 11]);
    let mut group = c.benchmark_group("read");
    group.bench_function("arc_swap_load_index", |b| {
        b.iter(|| bare.load()[black_box(ConfigKey::PrivateKey as usize)]);
    });
    group.bench_function("get", |b| b.iter(|| black_box(storage.get(black_box(ConfigKey::PrivateKey)))));
    group.bench_function("snapshot", |b| b.iter(|| storage.snapshot()));
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
        blocking::ConfigStorage::open(MemoryBackend::from_config(CONFIGURATION)).expect("it is a document");
    group.bench_function("update_blocking", |b| {
        b.iter(|| {
            count += 1;
            storage.set(ConfigKey::ServerPublicKeyId, count.to_string())
        });
    });
    group.finish();
}

fn document(c: &mut Criterion) {
    let document = ConfigDocument::parse(CONFIGURATION.as_bytes()).expect("it is a document");
    assert_eq!(document.get(ConfigKey::PrivateKey).map(|key| key.expose_secret().len()), Some(184));
    let mut group = c.benchmark_group("document");
    group.throughput(Throughput::Bytes(CONFIGURATION.len() as u64));
    group.bench_function("parse", |b| b.iter(|| ConfigDocument::parse(black_box(CONFIGURATION.as_bytes()))));
    group.bench_function("serialise", |b| b.iter(|| black_box(&document).to_payload()));
    group.finish();
}

criterion_group!(benches, read, write, document);
criterion_main!(benches);
