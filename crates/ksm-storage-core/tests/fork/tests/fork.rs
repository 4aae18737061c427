//! Storages in forked child processes: reads work, other calls are refused at once, and a new storage can be opened.
#![cfg(unix)]

use std::{
    process,
    sync::{
        Arc, Mutex, Once, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use fork_tests::in_child;
use ksm_storage_core::{
    Capabilities,
    ConfigKey::{Bat, Url},
    ConfigStorage, Connect, Error, ErrorKind, Location, OpenOptions, Outcome, Payload, Result,
    StorageBackend, StoreOutcome, Stored, Version,
    blocking::{self, Driver},
};
use ksm_storage_memory::MemoryBackend;
use tokio::runtime::{Builder, Handle};

/// Generous for a loaded machine; a child that hangs never ends.
const LIMIT: Duration = Duration::from_secs(20);

/// The lock of a fake connection pool. Threads of the parent hold it from time to time, also during a fork.
static POOL: Mutex<()> = Mutex::new(());
/// The process that owns the pool.
static PARENT: AtomicU32 = AtomicU32::new(0);

#[derive(Debug)]
struct Source;

#[async_trait]
impl Connect for Source {
    async fn connect(self: Arc<Self>, _: &OpenOptions) -> Result<Arc<dyn StorageBackend>> {
        let inner = MemoryBackend::from_config(r#"{"url":"u"}"#);
        Ok(Arc::new(Connection { process: process::id(), inner }))
    }
}

/// A connection of one process.
#[derive(Debug)]
struct Connection {
    process: u32,
    inner: MemoryBackend,
}

impl Connection {
    fn touch(&self) {
        assert_eq!(process::id(), self.process, "a connection is used in another process");
    }
}

#[async_trait]
impl StorageBackend for Connection {
    fn location(&self) -> Location {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn load(&self) -> Result<Stored> {
        self.touch();
        self.inner.load().await
    }

    async fn confirm(&self, version: &Version) -> Result<bool> {
        self.inner.confirm(version).await
    }

    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        self.touch();
        self.inner.store(expected, payload).await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The child's own pool has a separate lock.
        if PARENT.load(Ordering::Relaxed) == self.process {
            drop(POOL.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

fn open() -> blocking::ConfigStorage {
    blocking::ConfigStorage::open(Source).unwrap()
}

/// Makes every call once. `tracing` takes a lock when an event is first logged, and a fork by another test's thread at
/// that moment would leave it locked in the child.
fn warm_up() {
    static DONE: Once = Once::new();
    DONE.call_once(|| works(&open()));
}

/// Panics unless the call was refused with the expected error. Returns true if that happened at once.
fn refused<T>(call: impl FnOnce() -> Result<T>) -> bool {
    let start = Instant::now();
    let Err(error) = call() else { panic!("a call of a handle from before the fork succeeded") };
    let elapsed = start.elapsed();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Runtime, Outcome::NotApplied), "{error}");
    let text = error.to_string();
    assert!(text.contains("fork") && text.contains("reopen") && !text.contains('\n'), "{text}");
    elapsed < Duration::from_millis(100)
}

/// Makes all calls except reads. Returns true if all were refused at once.
fn all_refused(storage: &blocking::ConfigStorage) -> bool {
    let snapshot = storage.snapshot();
    assert!(storage.contains(Url) && storage.get(Url).is_some() && snapshot.contains(Url));
    [
        refused(|| storage.set(Bat, "b")),
        refused(|| storage.delete(Bat)),
        refused(|| storage.delete_all()),
        refused(|| storage.update(|_| Ok::<_, Error>(()))),
        refused(|| storage.save(&snapshot, snapshot.document().clone())),
        refused(|| storage.replace(snapshot.document().clone())),
        refused(|| storage.refresh()),
        refused(|| storage.keep_fresh(Duration::from_mins(5))),
        refused(|| storage.run_async(|_| async {})),
    ]
    .iter()
    .all(|&at_once| at_once)
}

fn works(storage: &blocking::ConfigStorage) {
    storage.keep_fresh(Duration::from_millis(1)).unwrap();
    let mut changes = storage.changes();
    storage.set(Bat, "b").unwrap();
    changes.next().unwrap().unwrap();
    storage.update(|document| Ok::<_, Error>(document.remove(Bat))).unwrap();
    assert!(storage.refresh().unwrap().contains(Url) && !storage.contains(Bat));
}

/// Sets the flag on drop, so that threads end even after a panic.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn thousand_forks_under_load() {
    warm_up();
    PARENT.store(process::id(), Ordering::Relaxed);
    let (storage, stop) = (open(), Stop(Arc::default()));
    let mut load: Vec<_> = (0..3)
        .map(|thread| {
            let (storage, stop) = (storage.clone(), Arc::clone(&stop.0));
            thread::spawn(move || {
                for call in (0_u64..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                    let set = move |document: &mut ksm_storage_core::ConfigDocument| {
                        document.set(Bat, format!("{thread} {call}"));
                        Ok::<_, Error>(())
                    };
                    if call % 8 == 0 { storage.update(set) } else { storage.set(Url, call.to_string()) }
                        .unwrap();
                }
            })
        })
        .collect();
    let stopped = Arc::clone(&stop.0);
    load.push(thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            let _held = POOL.lock().unwrap();
            thread::sleep(Duration::from_micros(500));
        }
    }));
    let mut late = 0;
    for fork in 0..1_000 {
        let lone = open();
        lone.keep_fresh(Duration::from_micros(100)).unwrap();
        let mut changes = lone.changes();
        let child = in_child(LIMIT, || {
            let mut at_once = all_refused(&storage) && all_refused(&lone);
            works(&storage.reopen().unwrap());
            // Dropping closes nothing of the parent's, which could wait for a lock.
            drop(lone);
            assert!(changes.next().is_none());
            drop(changes);
            at_once &= all_refused(&storage);
            u8::from(!at_once)
        });
        assert!(matches!(child, Some(0 | 1)), "fork {fork}: {child:?}");
        late += child.map_or(0, u32::from);
    }
    // A few delays are tolerated on a busy machine.
    assert!(late < 10, "{late} times a call was not refused at once");
    drop(stop);
    load.into_iter().for_each(|thread| thread.join().unwrap());
    works(&storage);
}

#[test]
fn async_handle_is_reopened_in_child() {
    warm_up();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let storage = runtime.block_on(ConfigStorage::open(Source)).unwrap();
    let child = in_child(LIMIT, || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        assert!(refused(|| runtime.block_on(storage.set(Bat, "b"))));
        assert!(refused(|| runtime.block_on(storage.refresh())));
        runtime.block_on(async {
            let storage = storage.reopen().await.unwrap();
            storage.set(Bat, "b").await.unwrap();
            assert!(storage.refresh().await.unwrap().contains(Bat));
        });
        0
    });
    assert_eq!(child, Some(0));
    runtime.block_on(storage.set(Bat, "b")).unwrap();
}

#[test]
fn supplied_runtime_is_left_behind() {
    warm_up();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let driver = Driver::new().runtime(runtime.handle().clone());
    let storage = driver.open(ConfigStorage::open(Source)).unwrap();
    let id = |storage: &blocking::ConfigStorage| storage.run_async(|_| async { Handle::current().id() });
    assert_eq!(id(&storage).unwrap(), runtime.handle().id());
    let child = in_child(LIMIT, || {
        all_refused(&storage);
        let error = driver.open(ConfigStorage::open(Source)).unwrap_err();
        assert!(error.kind() == ErrorKind::Runtime && error.to_string().contains("fork"), "{error}");
        let reopened = storage.reopen().unwrap();
        works(&reopened);
        let own = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let again = Driver::new().runtime(own.handle().clone()).reopen(&reopened).unwrap();
        works(&again);
        assert_eq!(id(&again).unwrap(), own.handle().id());
        // A child of the child.
        let grandchild = in_child(LIMIT, || {
            all_refused(&reopened);
            works(&reopened.reopen().unwrap());
            0
        });
        grandchild.unwrap_or(1)
    });
    assert_eq!(child, Some(0));
}

#[test]
fn backend_is_reopened_if_fork_safe() {
    warm_up();
    let storage = blocking::ConfigStorage::open(MemoryBackend::from_config(r#"{"url":"u"}"#)).unwrap();
    works(&storage.reopen().unwrap());
    let child = in_child(LIMIT, || {
        let error = storage.reopen().unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unsupported, Outcome::NotApplied));
        assert!(error.to_string().contains("fork"), "{error}");
        0
    });
    assert_eq!(child, Some(0));
}
