//! Batches of changes, compared with a naive implementation that copies, writes and compares the whole document for
//! each change.
#![allow(missing_docs, clippy::unwrap_used, reason = "these are tests")]

use std::sync::Arc;

use async_trait::async_trait;
use ksm_storage_core::{
    Capabilities, ConfigDocument,
    ConfigKey::{self, Hostname, Url},
    ConfigStorage, Error, ErrorKind, Location, Payload, Result, StorageBackend, StoreOutcome, Stored,
    Version,
};
use ksm_storage_memory::MemoryBackend;
use ksm_storage_testkit::Probe;
use proptest::prelude::*;
use tokio::runtime;

/// One edit of a change.
#[derive(Clone, Debug)]
enum Edit {
    Set(ConfigKey, String),
    Remove(ConfigKey),
    Clear,
    /// Replaces the whole document.
    Become(String),
    /// Undoes the edits before it.
    Restore,
    /// Makes the document too large for the store.
    Fill(ConfigKey),
}

#[derive(Clone, Debug)]
enum End {
    Keep,
    Refuse,
    Panic,
}

type Change = (Vec<Edit>, End);

/// The maximum size of the store, in bytes.
const LIMIT: usize = 400;

fn edit() -> impl Strategy<Value = Edit> {
    let key = prop::sample::select(vec![Hostname, Url, ConfigKey::ServerPublicKeyId]);
    prop_oneof![
        4 => (key.clone(), "[a\"\n\u{fc}]{0,3}").prop_map(|(key, value)| Edit::Set(key, value)),
        2 => key.clone().prop_map(Edit::Remove),
        1 => Just(Edit::Clear),
        1 => json().prop_map(Edit::Become),
        1 => Just(Edit::Restore),
        1 => key.prop_map(Edit::Fill),
    ]
}

fn json() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        r"{}",
        r#"{"url":"a"}"#,
        r#"{"a":1,"b":[2, 3],"url":null}"#,
        r#"{"b":[2, 3],"a":1,"url":null}"#,
        r#"{"a":1,"b":[2, 4],"url":null}"#,
        r#"{"a":1,"c":[2, 4],"url":null}"#,
        r#"{"a":1,"a":[2, 3]}"#,
        r#"{"\u00fc\n":"x","serverPublicKeyId":10}"#,
        r#"{"\u00fc\n":"x","serverPublicKeyId":"10"}"#,
    ])
    .prop_map(str::to_owned)
}

fn change() -> impl Strategy<Value = Change> {
    let end = prop_oneof![6 => Just(End::Keep), 1 => Just(End::Refuse), 1 => Just(End::Panic)];
    (prop::collection::vec(edit(), 0..4), end)
}

fn run(edits: &[Edit], document: &mut ConfigDocument) {
    let before = document.clone();
    for edit in edits {
        match edit {
            Edit::Set(key, value) => document.set(*key, value.clone()),
            Edit::Remove(key) => drop(document.remove(*key)),
            Edit::Clear => document.clear(),
            Edit::Become(json) => *document = parse(json.as_bytes()),
            Edit::Restore => document.clone_from(&before),
            Edit::Fill(key) => document.set(*key, "\n".repeat(LIMIT / 2)),
        }
    }
}

fn parse(json: &[u8]) -> ConfigDocument {
    ConfigDocument::parse(json).unwrap()
}

/// The error kinds of all calls, the stored document, and whether there is one.
#[derive(Debug, PartialEq)]
struct Ends {
    calls: Vec<Result<(), Option<ErrorKind>>>,
    document: Payload,
    stored: bool,
}

/// A naive implementation that identifies a document by its serialized bytes alone.
fn naive(json: &str, changes: &[Change]) -> Ends {
    let before = parse(json.as_bytes()).to_payload();
    let mut document = before.clone();
    let mut calls = Vec::new();
    for (edits, end) in changes {
        let mut scratch = parse(document.as_bytes());
        run(edits, &mut scratch);
        let written = scratch.to_payload();
        calls.push(match end {
            End::Refuse => Err(Some(ErrorKind::Refused)),
            End::Panic => Err(None),
            End::Keep if written != document && written.len() > LIMIT => Err(Some(ErrorKind::TooLarge)),
            End::Keep => {
                document = written;
                Ok(())
            }
        });
    }
    let stored = document != before;
    Ends { calls, document, stored }
}

async fn actual(json: &str, changes: Vec<Change>) -> Ends {
    let backend = MemoryBackend::from_config(json);
    let probe = Probe::new(Arc::new(Small(backend.clone())));
    let storage = ConfigStorage::open(probe.clone()).await.unwrap();
    // The calls are queued before the committer runs, so that they form one batch.
    let calls: Vec<_> = changes
        .into_iter()
        .map(|(edits, end)| {
            let storage = storage.clone();
            let change = move |document: &mut ConfigDocument| {
                run(&edits, document);
                assert_eq!(document.encoded_len(), document.to_payload().len());
                match end {
                    End::Keep => Ok(()),
                    End::Refuse => Err(Error::refused("no")),
                    End::Panic => std::panic::resume_unwind(Box::new("the change's own")),
                }
            };
            tokio::spawn(async move { storage.update(change).await })
        })
        .collect();
    let mut ends = Vec::new();
    for call in calls {
        ends.push(call.await.map_or(Err(None), |result| result.map_err(|error| Some(error.kind()))));
    }
    assert!(probe.calls().1 <= 1, "more than one batch");
    let stored = backend.read().unwrap();
    assert!(*storage.snapshot().document() == parse(stored.as_bytes()));
    Ends { calls: ends, document: parse(stored.as_bytes()).to_payload(), stored: probe.calls().1 > 0 }
}

proptest! {
    #[test]
    fn batches_equal_the_naive_implementation(
        json in json(),
        changes in prop::collection::vec(change(), 1..8),
    ) {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let expected = naive(&json, &changes);
        prop_assert_eq!(runtime.block_on(actual(&json, changes)), expected);
    }
}

/// A store with a small limit.
#[derive(Debug)]
struct Small(MemoryBackend);

#[async_trait]
impl StorageBackend for Small {
    fn location(&self) -> Location {
        self.0.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities().max_payload(LIMIT)
    }

    async fn load(&self) -> Result<Stored> {
        self.0.load().await
    }

    async fn confirm(&self, version: &Version) -> Result<bool> {
        self.0.confirm(version).await
    }

    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        self.0.store(expected, payload).await
    }
}
