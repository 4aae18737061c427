//! A store and a clock that the explorer controls.

use std::{
    fmt,
    sync::Mutex,
    task::{Poll, Waker},
    time::Duration,
};

use async_trait::async_trait;
use shuttle::future::{spawn, yield_now};

use crate::{
    Capabilities, Clock, ConfigDocument, ConfigKey, ConfigStorage, ExposeSecret, Location, Payload, Result,
    Snapshot, StorageBackend, StoreOutcome, Stored, Version, Writes, sync::Arc,
};

/// One stored document, and a route to it. Each route counts its calls; clones share the route.
///
/// A store continues after its caller is gone, like a request in flight.
#[derive(Clone)]
pub(super) struct Store {
    kept: Arc<Mutex<Kept>>,
    busy: Arc<Mutex<Busy>>,
}

struct Kept {
    /// Every payload that was ever current, indexed by version.
    payloads: Vec<Payload>,
    on_their_way: usize,
}

#[derive(Default)]
struct Busy {
    loads: usize,
    stores: usize,
}

impl Store {
    pub(super) fn new() -> Self {
        let kept = Kept { payloads: vec![Payload::from("{}")], on_their_way: 0 };
        Self { kept: Arc::new(Mutex::new(kept)), busy: Arc::default() }
    }

    /// Another route to the same document, as another process would have.
    pub(super) fn elsewhere(&self) -> Self {
        Self { kept: Arc::clone(&self.kept), busy: Arc::default() }
    }

    pub(super) async fn open(&self, clock: &Time) -> ConfigStorage {
        ConfigStorage::builder(self.clone()).clock(clock.clone()).open().await.unwrap()
    }

    /// The text under [`ConfigKey::Url`], once no store is in flight.
    pub(super) async fn settled(&self) -> String {
        while self.kept.lock().unwrap().on_their_way > 0 {
            yield_now().await;
        }
        let payload = self.kept.lock().unwrap().payloads.last().unwrap().clone();
        url(&ConfigDocument::parse(payload.as_bytes()).unwrap())
    }

    /// Returns true if this snapshot's content was stored as its version.
    pub(super) fn has_stored(&self, snapshot: &Snapshot) -> bool {
        let payload = self.kept.lock().unwrap().payloads[number(snapshot)].clone();
        ConfigDocument::parse(payload.as_bytes()).unwrap() == *snapshot.document()
    }
}

pub(super) fn number(snapshot: &Snapshot) -> usize {
    snapshot.version().as_str().parse().unwrap()
}

pub(super) fn url(document: &ConfigDocument) -> String {
    document.get(ConfigKey::Url).map(|url| url.expose_secret().to_owned()).unwrap_or_default()
}

impl Kept {
    fn version(&self) -> Version {
        Version::new((self.payloads.len() - 1).to_string())
    }
}

#[async_trait]
impl StorageBackend for Store {
    fn location(&self) -> Location {
        Location::new("explored", "document")
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Writes::Exact)
    }

    async fn load(&self) -> Result<Stored> {
        let _busy = Call::begin(&self.busy, |busy| &mut busy.loads);
        yield_now().await;
        let stored = {
            let kept = self.kept.lock().unwrap();
            Stored::present(kept.version(), kept.payloads.last().unwrap().clone())
        };
        yield_now().await;
        Ok(stored)
    }

    async fn confirm(&self, version: &Version) -> Result<bool> {
        Ok(self.kept.lock().unwrap().version() == *version)
    }

    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        let _busy = Call::begin(&self.busy, |busy| &mut busy.stores);
        yield_now().await;
        self.kept.lock().unwrap().on_their_way += 1;
        let (kept, expected, payload) = (Arc::clone(&self.kept), expected.clone(), payload.clone());
        let request = spawn(async move {
            yield_now().await;
            let mut kept = kept.lock().unwrap();
            kept.on_their_way -= 1;
            if kept.version() != expected {
                return StoreOutcome::conflict(None);
            }
            kept.payloads.push(payload);
            StoreOutcome::committed(kept.version())
        });
        Ok(request.await.unwrap())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// A call in progress. A route has at most one load or store at a time, because only its committer makes them.
struct Call<'a> {
    busy: &'a Mutex<Busy>,
    count: fn(&mut Busy) -> &mut usize,
}

impl<'a> Call<'a> {
    fn begin(busy: &'a Mutex<Busy>, count: fn(&mut Busy) -> &mut usize) -> Self {
        let calls = {
            let mut busy = busy.lock().unwrap();
            *count(&mut busy) += 1;
            busy.loads + busy.stores
        };
        let call = Self { busy, count };
        assert_eq!(calls, 1, "two calls at the same time");
        call
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        *(self.count)(&mut self.busy.lock().unwrap()) -= 1;
    }
}

/// Time that stands still until it [runs out](Self::run_out).
#[derive(Clone, Debug, Default)]
pub(super) struct Time(Arc<Mutex<Hands>>);

#[derive(Debug, Default)]
struct Hands {
    now: Duration,
    waiting: Vec<Waker>,
}

impl Time {
    /// Lets the deadlines of all earlier calls pass.
    pub(super) fn run_out(&self) {
        let waiting = {
            let mut hands = self.0.lock().unwrap();
            hands.now += Duration::from_mins(1);
            std::mem::take(&mut hands.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[async_trait]
impl Clock for Time {
    fn now(&self) -> Duration {
        self.0.lock().unwrap().now
    }

    async fn sleep(&self, _: Duration) {
        yield_now().await;
    }

    async fn alarm(&self, instant: Duration) {
        std::future::poll_fn(|context| {
            let mut hands = self.0.lock().unwrap();
            if hands.now >= instant {
                return Poll::Ready(());
            }
            hands.waiting.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn random(&self) -> u64 {
        1
    }
}
