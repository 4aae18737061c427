//! The blocking handle: where it may be used, and when it waits.
#![allow(missing_docs, clippy::unwrap_used, reason = "these are tests")]

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Waker},
    thread,
    time::{Duration, Instant},
};

use ksm_storage_core::{
    ConfigDocument,
    ConfigKey::{Bat, Url},
    Error, ErrorKind, Outcome,
    blocking::{ConfigStorage, Driver},
};
use ksm_storage_memory::MemoryBackend;
use ksm_storage_testkit::Probe;
use tokio::runtime::{Builder, Handle};

fn open() -> ConfigStorage {
    ConfigStorage::open(MemoryBackend::from_config("{}")).unwrap()
}

fn works(storage: &ConfigStorage) {
    storage.set(Url, "u").unwrap();
    assert!(storage.refresh().unwrap().contains(Url));
}

#[test]
fn works_on_plain_thread() {
    works(&open());
}

#[tokio::test]
async fn works_on_current_thread_runtime() {
    works(&open());
}

#[tokio::test(flavor = "multi_thread")]
async fn works_on_worker() {
    tokio::spawn(async { works(&open()) }).await.unwrap();
    tokio::task::spawn_blocking(|| works(&open())).await.unwrap();
}

#[test]
fn change_may_drop_last_clone() {
    let storage = open();
    let mut last = Some(storage.clone());
    storage
        .update(move |_| {
            drop(last.take());
            Ok::<_, Error>(())
        })
        .unwrap();
    let mut own = Some(storage.clone());
    let runs = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&runs);
    thread::spawn(move || {
        storage.update(move |_| {
            drop(own.take());
            counter.fetch_add(1, Ordering::SeqCst);
            Ok::<_, Error>(())
        })
    })
    .join()
    .unwrap()
    .unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[test]
fn panic_reaches_only_its_caller() {
    let storage = open();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        storage.update(|_| -> Result<(), Error> { std::panic::panic_any("the change's own") })
    }))
    .unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the change's own"));
    works(&storage);
}

/// Their threads would wait for each other, without a deadline.
#[test]
fn nested_write_on_other_handle_fails() {
    let (one, other) = (open(), open());
    let error = one.update(move |_| other.set(Url, "nested")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    works(&one);
}

#[test]
fn nested_blocking_write_fails() {
    let storage = open();
    let inner = storage.clone();
    let error = storage.update(move |_| inner.set(Url, "nested")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    works(&storage);
}

fn open_for(deadline: Duration) -> ConfigStorage {
    let builder = ksm_storage_core::ConfigStorage::builder(MemoryBackend::from_config("{}"));
    ConfigStorage::open_with(builder.deadline(deadline).open()).unwrap()
}

/// A method that makes a change.
#[derive(Clone, Copy)]
enum By {
    Update,
    Async,
}

/// Blocks the handle's queue until the sender is dropped. Returns once the queue is blocked.
fn block(by: By, storage: &ConfigStorage) -> (mpsc::Sender<()>, thread::JoinHandle<Result<(), Error>>) {
    let (release, released) = mpsc::channel::<()>();
    let (block, blocked) = mpsc::channel();
    let storage = storage.clone();
    let change = move |document: &mut ConfigDocument| {
        let _ = block.send(());
        let _ = released.recv();
        document.set(Bat, "late");
        Ok(())
    };
    let caller = thread::spawn(move || match by {
        By::Update => storage.update(change),
        By::Async => storage.run_async(|storage| async move { storage.update(change).await }).unwrap(),
    });
    blocked.recv().unwrap();
    (release, caller)
}

/// Blocks more handles than the shared runtime has threads.
#[test]
fn blocking_change_delays_only_its_handle() {
    let handles: Vec<_> = (0..6).map(|_| open_for(Duration::from_millis(300))).collect();
    let ways = [By::Update, By::Async].into_iter().cycle();
    let blocked: Vec<_> = ways.zip(&handles).map(|(by, storage)| block(by, storage)).collect();
    let other = open_for(Duration::from_mins(1));
    works(&other);
    for ((release, caller), storage) in blocked.into_iter().zip(handles) {
        let error = caller.join().unwrap().unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::NotApplied));
        // The queue continues while the change still blocks, and the change is discarded.
        works(&storage);
        drop(release);
        works(&storage);
        assert!(!storage.contains(Bat));
    }
}

/// The caller's thread wakes only after the committer has gone on to another call.
#[test]
fn overrun_change_is_named() {
    for returns in [false, true] {
        let storage = open_for(Duration::from_millis(300));
        let other = storage.clone();
        let error = storage.run_async(move |storage| async move {
            let (release, released) = mpsc::channel::<()>();
            let (alive, ended) = mpsc::channel::<()>();
            let mut call = pin!(storage.update(move |_| {
                let _alive = &alive;
                let _ = released.recv();
                Ok::<_, Error>(())
            }));
            assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            // Times out as well if it is queued too early.
            while other.set(Url, "u").is_err() {}
            if returns {
                drop(release);
                ended.recv().unwrap_err();
            }
            call.await.unwrap_err()
        });
        let error = error.unwrap();
        let text = error.to_string();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::NotApplied), "{text}");
        assert!(text.contains("a change did not return before the deadline"), "{text}");
        assert!(!text.contains("earlier calls"), "{text}");
    }
}

#[test]
fn a_blocked_change_leaves_other_deadlines() {
    let (one, other) = (open_for(Duration::from_mins(1)), open_for(Duration::from_secs(1)));
    let (release, caller) = block(By::Update, &one);
    let start = Instant::now();
    works(&other);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    drop(release);
    caller.join().unwrap().unwrap();
    assert!(one.contains(Bat));
}

#[test]
fn supplied_runtime_carries_out_calls() {
    let runtime =
        Builder::new_multi_thread().worker_threads(1).thread_name("supplied").enable_all().build().unwrap();
    let driver = Driver::new().runtime(runtime.handle().clone());
    let storage =
        driver.open(ksm_storage_core::ConfigStorage::open(MemoryBackend::from_config("{}"))).unwrap();
    works(&storage);
    let name = |_: &mut _| Ok::<_, Error>(thread::current().name().unwrap().to_owned());
    assert_eq!(storage.update(name).unwrap(), "supplied");
    assert_eq!(storage.run_async(|_| async { Handle::current().id() }).unwrap(), runtime.handle().id());
    works(&storage.reopen().unwrap());
    // Runs on the runtime's only worker, which must drive the call as well.
    let inner = storage.clone();
    runtime.block_on(async { tokio::spawn(async move { works(&inner) }).await.unwrap() });
}

#[test]
fn blocked_runtime_ends_in_timeout() {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let builder = ksm_storage_core::ConfigStorage::builder(MemoryBackend::from_config("{}"));
    let driver = Driver::new().runtime(runtime.handle().clone());
    let storage = driver.open(builder.deadline(Duration::from_millis(100)).open()).unwrap();
    let (release, released) = mpsc::channel::<()>();
    let (block, blocked) = mpsc::channel();
    runtime.spawn(async move {
        block.send(()).unwrap();
        let _ = released.recv();
    });
    blocked.recv().unwrap();
    let error = storage.set(Url, "u").unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::NotApplied), "{error}");
    assert!(error.to_string().contains("something blocks its threads"), "{error}");
    drop(release);
    works(&storage);
}

#[test]
fn current_thread_runtime_is_refused() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let driver = Driver::new().runtime(runtime.handle().clone());
    let opening = || ksm_storage_core::ConfigStorage::open(MemoryBackend::from_config("{}"));
    let refused = runtime.block_on(async { driver.open(opening()).unwrap_err() });
    assert_eq!((refused.kind(), refused.outcome()), (ErrorKind::InvalidArgument, Outcome::NotApplied));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let driving = thread::spawn(move || drop(runtime.block_on(stopped)));
    works(&driver.open(opening()).unwrap());
    drop(stop);
    driving.join().unwrap();
}

#[test]
fn blocking_calls_nest_on_shared_workers() {
    let storage = open();
    let inner = storage.clone();
    storage
        .run_async(|_| async move {
            works(&inner);
            let calls = [0; 8].map(|_| {
                let inner = inner.clone();
                tokio::spawn(async move { works(&inner) })
            });
            for call in calls {
                call.await.unwrap();
            }
        })
        .unwrap();
}

/// More of them than Tokio's budget of one task, which applies to a handle that uses another runtime.
#[tokio::test]
async fn one_task_makes_many_calls() {
    let storage = open();
    for _ in 0..300 {
        storage.refresh().unwrap();
    }
}

/// Interrupts once, after a load or store that never ends has begun.
fn once_begun(probe: &Probe) -> impl Fn() -> bool + Send + Sync + 'static {
    let (asked, seen) = (probe.clone(), AtomicUsize::new(0));
    move || {
        let begun = [asked.loads(), asked.stores()]
            .map(|gate| pin!(gate.arrived(1)).poll(&mut Context::from_waker(Waker::noop())).is_ready());
        begun.contains(&true) && seen.fetch_add(1, Ordering::SeqCst) == 1
    }
}

/// Returns a storage whose load or store never ends, interrupted after it began.
fn interrupted(probe: &Probe) -> ConfigStorage {
    let driver = Driver::new().interrupt(once_begun(probe));
    driver.open(ksm_storage_core::ConfigStorage::open(probe.clone())).unwrap()
}

#[test]
fn openings_are_interrupted() {
    let probe = Probe::new(Arc::new(MemoryBackend::from_config("{}")));
    probe.loads().close();
    let driver = Driver::new().interrupt(|| true);
    let error = driver.open(ksm_storage_core::ConfigStorage::open(probe)).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Interrupted, Outcome::NotApplied));
}

/// Only a creation that may have begun leaves the outcome open.
#[test]
fn openings_that_create_report_outcomes() {
    for (load, outcome) in [(true, Outcome::NotApplied), (false, Outcome::Unknown)] {
        for kind in [ErrorKind::Interrupted, ErrorKind::Timeout] {
            let probe = Probe::new(Arc::new(MemoryBackend::new()));
            let (driver, deadline) = match kind {
                ErrorKind::Interrupted => {
                    (Driver::new().interrupt(once_begun(&probe)), Duration::from_mins(1))
                }
                _ => (Driver::new(), Duration::from_millis(300)),
            };
            if load {
                probe.loads().close();
            } else {
                probe.stores().close();
            }
            let builder = ksm_storage_core::ConfigStorage::builder(probe);
            let error = driver.open(builder.deadline(deadline).open_or_create()).unwrap_err();
            assert_eq!((error.kind(), error.outcome()), (kind, outcome), "{error}");
        }
    }
}

#[test]
fn interrupts_report_the_outcome() {
    for (load, outcome) in [(true, Outcome::NotApplied), (false, Outcome::Unknown)] {
        let probe = Probe::new(Arc::new(MemoryBackend::from_config("{}")));
        let storage = interrupted(&probe);
        if load {
            probe.loads().close();
        } else {
            probe.stores().close();
        }
        let error = storage.set(Url, "u").unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Interrupted, outcome), "{error}");
        assert!(!error.is_retryable() && error.location().is_some());
        probe.loads().open();
        probe.stores().open();
        works(&storage);
    }
}
