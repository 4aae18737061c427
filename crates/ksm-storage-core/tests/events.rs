//! Warnings about documents from which no client can start.
#![allow(missing_docs, clippy::unwrap_used, reason = "these are tests")]

mod warnings;

use ksm_storage_core::{
    BindState,
    ConfigKey::{AppKey, Url},
    blocking::ConfigStorage,
};
use ksm_storage_memory::MemoryBackend;
use tracing::subscriber::with_default;
use warnings::Warnings;

/// Opens a document, and returns the handle, its state, and the warnings logged.
fn open(json: &str) -> (ConfigStorage, BindState, String) {
    let warnings = Warnings::of("");
    let opening = || ConfigStorage::open(MemoryBackend::from_config(json)).unwrap();
    let storage = with_default(warnings.subscriber(), opening);
    let state = storage.bind_state();
    (storage, state, warnings.text())
}

#[test]
fn foreign_document_is_reported() {
    for json in [r#"{"KSM_CONFIG": "eyJjbGllbnRJZCI6"}"#, r#"{"eyJjbGllbnRJZCI6": ""}"#] {
        let (storage, state, text) = open(json);
        assert_eq!(state, BindState::Unrecognized);
        assert!(text.starts_with("message=unrecognized: ") && text.lines().count() == 1, "{text}");
        let shown = format!("{storage:?} {storage:#?} {:?} {text}", storage.snapshot());
        assert!(!shown.contains("KSM_CONFIG") && !shown.contains("eyJ"), "{shown}");
    }
    for json in ["{}", r#"{"hostname": "h", "other": 1}"#] {
        let (_, state, text) = open(json);
        assert_eq!((state, &*text), (BindState::Empty, ""));
    }
}

#[test]
fn invalid_key_is_reported_once() {
    let (storage, state, text) = open(r#"{"appKey": "c2hvcnQ="}"#);
    assert_eq!(state, BindState::Invalid(AppKey));
    assert!(text.starts_with("message=invalid key: ") && text.contains(" key=appKey "), "{text}");
    assert!(!text.contains("c2hvcnQ") && text.lines().count() == 1, "{text}");
    let warnings = Warnings::of("");
    with_default(warnings.subscriber(), || storage.set(Url, "u").unwrap());
    assert_eq!(warnings.text(), "");
}
