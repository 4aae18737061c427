//! A full disk, as a condition of the conformance suite.
//!
//! Filling a disk needs privileges, but a limit on file sizes fails a write in the same place. The limit applies to a
//! process, so the cases run in a child process.
#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::{env, process::Command, sync::Arc};

use async_trait::async_trait;
use ksm_storage_core::{ErrorKind, Outcome, Payload, StorageBackend};
use ksm_storage_file::{Durability, testing::FileFixture};
use ksm_storage_testkit::{Condition, Fixture, NotOffered, Store, SystemUnderTest, Verdict, cases};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const CASES: [&str; 2] = ["c04_full_store_claims_truth", "c13_failures_show_no_secret"];
const CHILD: &str = "KSM_STORAGE_FULL_CHILD";

struct Full(FileFixture);

struct FullStore(Box<dyn Store>);

#[async_trait]
impl Fixture for Full {
    fn name(&self) -> String {
        "file, full".into()
    }

    async fn fresh(&self) -> Box<dyn Store> {
        Box::new(FullStore(self.0.fresh().await))
    }
}

#[async_trait]
impl Store for FullStore {
    async fn open(&self) -> Arc<dyn StorageBackend> {
        self.0.open().await
    }

    async fn write(&self, payload: Option<Payload>) {
        self.0.write(payload).await;
    }

    async fn read(&self) -> Option<Payload> {
        self.0.read().await
    }

    async fn impose(&self, condition: Condition) -> Result<(), NotOffered> {
        if condition != Condition::Full {
            return Err(NotOffered);
        }
        // The framed payload does not fit, but a part of it does.
        limit_files(Some(60));
        Ok(())
    }

    async fn restore(&self) {
        limit_files(None);
    }
}

fn limit_files(bytes: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).unwrap();
}

/// Control: the condition really fails writes.
#[tokio::main(flavor = "current_thread")]
async fn refuses_writes() {
    let store = Full(FileFixture::new(Durability::Relaxed)).fresh().await;
    store.write(Some("{}".into())).await;
    let backend = store.open().await;
    let expected = backend.load().await.unwrap().version().clone();
    store.impose(Condition::Full).await.unwrap();
    let error = backend.store(&expected, &r#"{"a":1}"#.into()).await.unwrap_err();
    store.restore().await;
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::QuotaExceeded, Outcome::NotApplied));
    assert!(error.to_string().contains(".temporary-") && !error.is_retryable(), "{error}");
}

#[test]
fn full_disk_loses_nothing() {
    if env::var_os(CHILD).is_some() {
        refuses_writes();
        let sut = SystemUnderTest::new(Full(FileFixture::new(Durability::Relaxed)));
        for case in cases().into_iter().filter(|case| CASES.contains(&case.name())) {
            match case.check(sut.clone()) {
                Ok(verdict) => assert_eq!(verdict, Verdict::Passed),
                Err(failure) => panic!("{failure}"),
            }
        }
        return;
    }
    // A write beyond the limit raises a signal that ends the process unless it is ignored.
    let child = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; exec "$0" --exact full_disk_loses_nothing --nocapture"#])
        .arg(env::current_exe().unwrap())
        .env(CHILD, "1")
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
}
