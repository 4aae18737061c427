//! Reads allocate no memory.
#![allow(missing_docs)]
#![cfg(feature = "memory")]

use allocation_counter::measure;
use ksm_storage::{ConfigKey, blocking::ConfigStorage, memory::MemoryBackend};

#[test]
fn get_allocates_nothing() {
    let config = r#"{"clientId": "abc", "privateKey": "def"}"#;
    let storage = ConfigStorage::open(MemoryBackend::from_config(config)).unwrap();
    // The first read on a thread initializes thread-local state.
    assert!(storage.contains(ConfigKey::ClientId));
    let reads = measure(|| {
        for _ in 0..1_000 {
            assert_eq!(storage.get(ConfigKey::PrivateKey).unwrap().expose_secret(), "def");
            assert!(storage.get(ConfigKey::Url).is_none());
            assert!(storage.contains(ConfigKey::ClientId) && !storage.is_empty());
            let snapshot = storage.snapshot();
            assert!(snapshot.contains(ConfigKey::ClientId));
            assert_eq!(storage.bind_state(), snapshot.bind_state());
        }
    });
    assert_eq!(reads.count_total, 0, "{reads:?}");
    let control = measure(|| drop(std::hint::black_box(vec![1_u8; 100])));
    assert_eq!(control.count_total, 1, "the counter counts");
}
