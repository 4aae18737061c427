//! Rules of the queue and its committer that only the asynchronous handle can exercise.
#![allow(missing_docs, clippy::unwrap_used, reason = "these are tests")]

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use async_trait::async_trait;
use ksm_storage_core::{
    ConfigDocument,
    ConfigKey::{Hostname, Url},
    ConfigStorage, Connect, Error, ErrorKind, OpenOptions, Outcome, Result, StorageBackend,
};
use ksm_storage_memory::MemoryBackend;
use ksm_storage_testkit::{Probe, StoreFault};

async fn open(json: &str) -> (ConfigStorage, Probe, MemoryBackend) {
    let backend = MemoryBackend::from_config(json);
    let probe = Probe::new(Arc::new(backend.clone()));
    (ConfigStorage::open(probe.clone()).await.unwrap(), probe, backend)
}

fn stored(backend: &MemoryBackend) -> ConfigDocument {
    ConfigDocument::parse(backend.read().unwrap().as_bytes()).unwrap()
}

/// Polls once and drops the future, like a caller that gives up.
fn poll_once(future: impl Future) {
    let mut future = Box::pin(future);
    let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Pending));
}

#[tokio::test]
async fn call_dropped_early_leaves_no_trace() {
    let (storage, probe, backend) = open("{}").await;
    probe.stores().close();
    let first = tokio::spawn({
        let storage = storage.clone();
        async move { storage.set(Url, "first").await }
    });
    probe.stores().arrived(1).await;
    poll_once(storage.set(Hostname, "dropped"));
    probe.stores().open();
    first.await.unwrap().unwrap();
    storage.refresh().await.unwrap();
    assert!(!stored(&backend).contains(Hostname));
    assert_eq!(probe.calls().1, 1);
}

#[tokio::test]
async fn call_dropped_during_store_completes() {
    let (storage, probe, backend) = open("{}").await;
    probe.stores().close();
    let first = tokio::spawn({
        let storage = storage.clone();
        async move { storage.set(Url, "first").await }
    });
    probe.stores().arrived(1).await;
    first.abort();
    assert!(first.await.is_err());
    probe.stores().open();
    storage.refresh().await.unwrap();
    assert!(stored(&backend).contains(Url) && storage.contains(Url));
}

#[tokio::test]
async fn queued_calls_are_stored_together() {
    let (storage, probe, _) = open("{}").await;
    probe.stores().close();
    let mut calls = Vec::new();
    for call in 0..1_000 {
        let storage = storage.clone();
        calls.push(tokio::spawn(async move { storage.set(Url, call.to_string()).await }));
    }
    probe.stores().arrived(1).await;
    tokio::task::yield_now().await;
    probe.stores().open();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert!(probe.calls().1 <= 10, "{:?}", probe.calls());
}

#[tokio::test]
async fn concurrent_refreshes_share_loads() {
    let (storage, probe, _) = open("{}").await;
    let calls: Vec<_> = (0..1_000)
        .map(|_| {
            let storage = storage.clone();
            tokio::spawn(async move { storage.refresh().await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert!(probe.calls().0 <= 1 + 2, "{:?}", probe.calls());
}

/// A refused change, a panic and an oversized document discard only their own change.
#[tokio::test]
async fn bad_change_spares_its_batch() {
    let (storage, probe, backend) = open("{}").await;
    probe.loads().close();
    let spawn = |index: usize| {
        let storage = storage.clone();
        tokio::spawn(async move {
            storage
                .update(move |document| {
                    document.set(Url, format!("bad {index}"));
                    match index {
                        0 => Err(Error::refused("no")),
                        1 => std::panic::panic_any("the change's own"),
                        2 => {
                            document.set(Url, "x".repeat(70_000));
                            Ok(())
                        }
                        _ => {
                            document.remove(Url);
                            document.set(Hostname, "good");
                            Ok(())
                        }
                    }
                })
                .await
        })
    };
    let calls: Vec<_> = (0..4).map(spawn).collect();
    probe.loads().arrived(1).await;
    probe.loads().open();
    let mut results = Vec::new();
    for call in calls {
        results.push(call.await);
    }
    let kind = |index: usize| results[index].as_ref().unwrap().as_ref().unwrap_err().kind();
    assert_eq!(kind(0), ErrorKind::Refused);
    assert_eq!(kind(2), ErrorKind::TooLarge);
    let panic = results.remove(1).unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the change's own"));
    assert!(results.pop().unwrap().is_ok());
    assert!(!stored(&backend).contains(Url) && stored(&backend).contains(Hostname));
}

/// A failed store answers only the calls whose changes it contained. The others run again.
#[tokio::test]
async fn failed_store_fails_only_its_changes() {
    let (storage, probe, _) = open("{}").await;
    probe.loads().close();
    let written = tokio::spawn({
        let storage = storage.clone();
        async move { storage.set(Url, "u").await }
    });
    let refreshed = tokio::spawn({
        let storage = storage.clone();
        async move { storage.refresh().await }
    });
    let refused = tokio::spawn({
        let storage = storage.clone();
        async move {
            let refusal = |document: &mut ConfigDocument| {
                Err::<(), _>(Error::refused(if document.contains(Url) { "not stored" } else { "stored" }))
            };
            storage.update(refusal).await
        }
    });
    probe.loads().arrived(1).await;
    probe.fail_stores([StoreFault::Fail(
        Error::new(ErrorKind::Unavailable, "on demand").with_outcome(Outcome::Unknown),
    )]);
    tokio::task::yield_now().await;
    probe.loads().open();
    assert_eq!(written.await.unwrap().unwrap_err().outcome(), Outcome::Unknown);
    assert!(!refreshed.await.unwrap().unwrap().contains(Url));
    let refused = refused.await.unwrap().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert!(refused.to_string().contains(": stored"), "{refused}");
    assert_eq!(probe.calls(), (3, 1));
}

#[tokio::test]
async fn conflict_reruns_the_change() {
    let (storage, probe, backend) = open(r#"{"url":"old"}"#).await;
    probe.stores().close();
    let runs = Arc::new(AtomicUsize::new(0));
    let call = tokio::spawn({
        let (storage, runs) = (storage.clone(), Arc::clone(&runs));
        async move {
            storage
                .update(move |document| {
                    runs.fetch_add(1, Ordering::SeqCst);
                    document.set(Url, "new");
                    Ok::<_, Error>(document.contains(Hostname))
                })
                .await
        }
    });
    probe.stores().arrived(1).await;
    backend.overwrite(Some(r#"{"hostname":"foreign"}"#.into()));
    probe.stores().open();
    assert!(call.await.unwrap().unwrap(), "it saw what the foreign writer had stored");
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    assert!(stored(&backend).contains(Hostname) && stored(&backend).contains(Url));
    // The conflict contained the current content, so there was no further load.
    assert_eq!(probe.calls(), (2, 2));
}

#[test]
fn runtime_ended_during_store_is_unknown() {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (one, other) = (runtime(), runtime());
    let (storage, probe, _) = one.block_on(open("{}"));
    probe.stores().close();
    // The committer runs on the first caller's runtime, which the second caller must not depend on.
    let first = one.spawn({
        let storage = storage.clone();
        async move { storage.set(Url, "first").await }
    });
    other.block_on(probe.stores().arrived(1));
    let second = other.spawn({
        let storage = storage.clone();
        async move { storage.set(Url, "second").await }
    });
    std::thread::sleep(Duration::from_millis(50));
    one.shutdown_background();
    assert!(other.block_on(first).is_err(), "its task went down with the runtime");
    let error = other.block_on(second).unwrap().unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Runtime, Outcome::NotApplied));
    probe.stores().open();
    other.block_on(storage.set(Url, "third")).unwrap();
}

#[test]
fn only_writes_need_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (storage, _, _) = runtime.block_on(open(r#"{"url":"u"}"#));
    drop(runtime);
    assert_eq!(storage.get(Url).unwrap().expose_secret(), "u");
    let mut write = Box::pin(storage.set(Url, "v"));
    let Poll::Ready(result) = write.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it waits for a runtime");
    };
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Runtime, Outcome::NotApplied));
    assert!(error.to_string().contains("blocking::ConfigStorage"), "{error}");
    let mut opening = Box::pin(ConfigStorage::open(MemoryBackend::from_config("{}")));
    let Poll::Ready(result) = opening.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it waits for a runtime");
    };
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Runtime);
}

#[tokio::test]
async fn nested_write_fails() {
    let (storage, _, _) = open("{}").await;
    let inner = storage.clone();
    let result = storage
        .update(move |_| {
            let mut nested = Box::pin(inner.set(Url, "nested"));
            match nested.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(result) => result,
                Poll::Pending => Ok(()),
            }
        })
        .await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidArgument);
    storage.set(Url, "afterwards").await.unwrap();
}

#[tokio::test]
async fn callers_error_type_is_returned() {
    #[derive(Debug, PartialEq)]
    enum Own {
        Refusal(u8),
        Storage(ErrorKind),
    }
    impl From<Error> for Own {
        fn from(error: Error) -> Self {
            Self::Storage(error.kind())
        }
    }
    let (storage, probe, _) = open("{}").await;
    assert_eq!(storage.update(|_| Err::<(), _>(Own::Refusal(7))).await, Err(Own::Refusal(7)));
    probe.fail_stores([StoreFault::Fail(Error::new(ErrorKind::AccessDenied, "on demand"))]);
    let change = |document: &mut ConfigDocument| {
        document.set(Url, "u");
        Ok(())
    };
    assert_eq!(storage.update(change).await, Err(Own::Storage(ErrorKind::AccessDenied)));
}

/// Three calls, some time apart, on a store that does not answer.
#[tokio::test(start_paused = true)]
async fn late_calls_name_their_cause() {
    let probe = Probe::new(Arc::new(MemoryBackend::from_config("{}")));
    let limit = Duration::from_secs(2);
    let storage = ConfigStorage::builder(probe.clone()).deadline(limit).open().await.unwrap();
    for (gate, words) in [
        (probe.loads(), ["the store did not answer a load before", "the store returned no current version"]),
        (probe.stores(), ["the store did not answer before the deadline"; 2]),
    ] {
        gate.close();
        let calls = [0, 500, 1_900].map(|late| {
            let storage = storage.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(late)).await;
                storage.set(Url, late.to_string()).await.unwrap_err()
            })
        });
        // The second call waits for the first until 2 s, and has 500 ms left.
        for (call, has_waited) in calls.into_iter().zip([false, true, false]) {
            let error = call.await.unwrap();
            let text = error.to_string();
            assert_eq!(error.kind(), ErrorKind::Timeout, "{text}");
            assert!(words.iter().any(|words| text.contains(words)), "{text}");
            assert_eq!(text.contains("earlier calls took 1.5 s of the time limit"), has_waited, "{text}");
        }
        gate.open();
    }
}

/// A source that takes most of the time limit to connect.
#[derive(Debug)]
struct Slow(Probe);

#[async_trait]
impl Connect for Slow {
    async fn connect(self: Arc<Self>, _: &OpenOptions) -> Result<Arc<dyn StorageBackend>> {
        tokio::time::sleep(Duration::from_secs(9)).await;
        Ok(Arc::new(self.0.clone()))
    }
}

#[tokio::test(start_paused = true)]
async fn connecting_is_no_queue_time() {
    let probe = Probe::new(Arc::new(MemoryBackend::new()));
    probe.stores().close();
    let error = ConfigStorage::open_or_create(Slow(probe)).await.unwrap_err();
    let text = error.to_string();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::Unknown), "{text}");
    assert!(text.contains("the store did not answer before the deadline"), "{text}");
    assert!(!text.contains("earlier calls"), "{text}");
}
