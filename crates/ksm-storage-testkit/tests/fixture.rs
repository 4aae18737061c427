//! A faulty fixture is reported as such, and a report says where to start.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;

use async_trait::async_trait;
use ksm_storage_core::{Payload, StorageBackend};
use ksm_storage_memory::MemoryBackend;
use ksm_storage_testkit::{FailureKind, Fixture, Store, SystemUnderTest, Verdict, cases, run_all};

#[derive(Clone, Copy, Debug)]
enum Fault {
    WriteDoesNothing,
    ReadReturnsNothing,
    ReadReturnsFraming,
    WriteKeepsRemoved,
    FreshIsShared,
}

struct Faulty(Fault, MemoryBackend);

#[async_trait]
impl Fixture for Faulty {
    fn name(&self) -> String {
        format!("{:?}", self.0)
    }

    async fn fresh(&self) -> Box<dyn Store> {
        let backend = match self.0 {
            Fault::FreshIsShared => self.1.clone(),
            _ => MemoryBackend::new(),
        };
        Box::new(Self(self.0, backend))
    }
}

#[async_trait]
impl Store for Faulty {
    async fn open(&self) -> Arc<dyn StorageBackend> {
        Arc::new(self.1.clone())
    }

    async fn write(&self, payload: Option<Payload>) {
        match (self.0, &payload) {
            (Fault::WriteDoesNothing, _) | (Fault::WriteKeepsRemoved, None) => {}
            _ => self.1.overwrite(payload),
        }
    }

    async fn read(&self) -> Option<Payload> {
        let payload = self.1.read()?;
        match self.0 {
            Fault::ReadReturnsNothing => None,
            Fault::ReadReturnsFraming => Some(Payload::from([payload.as_bytes(), b"\n"].concat())),
            _ => Some(payload),
        }
    }
}

#[test]
fn faulty_fixture_is_one_failure() {
    for (fault, advice) in [
        (Fault::WriteDoesNothing, "correct `write`"),
        (Fault::ReadReturnsNothing, "correct `read`"),
        (Fault::ReadReturnsFraming, "correct `read`"),
        (Fault::WriteKeepsRemoved, "correct `write`"),
        (Fault::FreshIsShared, "correct `fresh`"),
    ] {
        let report = run_all(&SystemUnderTest::new(Faulty(fault, MemoryBackend::new())));
        let failures: Vec<_> = report.failures().collect();
        assert_eq!((report.0.len(), failures.len()), (1, 1), "{fault:?}");
        let message = failures[0].1.to_string();
        assert_eq!(failures[0].1.kind(), FailureKind::Fixture, "{message}");
        assert!(message.starts_with("the fixture is faulty") && message.ends_with(advice), "{message}");
        assert!(report.to_string().ends_with(&format!("start here: {message}")), "{report}");
    }
}

#[test]
fn faulty_fixture_blames_no_backend() {
    let sut = SystemUnderTest::new(Faulty(Fault::ReadReturnsNothing, MemoryBackend::new()));
    for case in cases() {
        assert_eq!(case.check(sut.clone()).unwrap_err().kind(), FailureKind::Fixture, "{}", case.name());
    }
}

#[test]
fn missing_hook_is_not_checked() {
    let sut = SystemUnderTest::new(ksm_storage_memory::testing::MemoryFixture::new());
    let verdict =
        |name| cases().into_iter().find(|case| case.name() == name).unwrap().check(sut.clone()).unwrap();
    let missing = Verdict::NotChecked("the fixture offers no store that is silent".to_owned());
    assert_eq!(verdict("c01_silent_is_not_absent"), missing);
    assert_eq!(verdict("c06_emptied_store_has_new_versions"), Verdict::Passed);
}
