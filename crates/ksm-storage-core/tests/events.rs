//! Warnings about documents that no client can start from.
#![allow(missing_docs, clippy::unwrap_used, reason = "these are tests")]

use std::{
    fmt::{Debug, Write},
    sync::{Arc, Mutex},
};

use ksm_storage_core::{
    BindState,
    ConfigKey::{AppKey, Url},
    blocking::ConfigStorage,
};
use ksm_storage_memory::MemoryBackend;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::with_default,
};

/// The warnings, one per line.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<String>>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Fields<'a>(&'a mut String);
        impl Visit for Fields<'_> {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                write!(self.0, "{field}={value:?} ").unwrap();
            }
        }
        let mut text = self.0.lock().unwrap();
        event.record(&mut Fields(&mut text));
        text.push('\n');
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Opens a document and returns the handle, its state, and the warnings meanwhile.
fn open(json: &str) -> (ConfigStorage, BindState, String) {
    let warnings = Warnings::default();
    let opening = || ConfigStorage::open(MemoryBackend::from_config(json)).unwrap();
    let storage = with_default(warnings.clone(), opening);
    let state = storage.bind_state();
    let text = warnings.0.lock().unwrap().clone();
    (storage, state, text)
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
    let warnings = Warnings::default();
    with_default(warnings.clone(), || storage.set(Url, "u").unwrap());
    assert_eq!(*warnings.0.lock().unwrap(), "");
}
