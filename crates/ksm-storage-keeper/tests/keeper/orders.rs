//! Two clients with one token, in every possible order of their storage calls.

use std::{
    num::NonZero,
    sync::{Arc, Mutex},
    thread,
};

use async_trait::async_trait;
use ksm_storage_core::{
    Capabilities, ConfigStorage, Location, Payload, Result, StorageBackend, StoreOutcome, Stored, Version,
};
use ksm_storage_emulator::keeper::FakeKeeper;
use ksm_storage_keeper::KeeperClient;

use ksm_storage_memory::MemoryBackend;
use tokio::{
    runtime::{Builder, Runtime},
    sync::Notify,
};

use crate::support::{POLICIES, TITLES, configured, titles};

/// A load to open, and a load and a store for each of the two writes.
const STEPS: u32 = 5;

/// Makes two clients take turns in a given order. When the order is used up, they run freely.
#[derive(Debug)]
struct Order {
    /// One bit per step: the client that takes it.
    turns: Mutex<(u32, u32)>,
    finished: Mutex<[bool; 2]>,
    changed: Notify,
}

impl Order {
    fn new(order: u32) -> Arc<Self> {
        Arc::new(Self {
            turns: Mutex::new((order, 2 * STEPS)),
            finished: Mutex::default(),
            changed: Notify::new(),
        })
    }

    fn is_turn(&self, client: usize) -> bool {
        let (order, left) = *self.turns.lock().unwrap();
        let next = (order & 1) as usize;
        left == 0 || next == client || self.finished.lock().unwrap()[next]
    }

    async fn turn(&self, client: usize) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.is_turn(client) {
                return;
            }
            changed.await;
        }
    }

    fn done(&self) {
        let mut turns = self.turns.lock().unwrap();
        *turns = (turns.0 >> 1, turns.1.saturating_sub(1));
        drop(turns);
        self.changed.notify_waiters();
    }

    fn finish(&self, client: usize) {
        self.finished.lock().unwrap()[client] = true;
        self.changed.notify_waiters();
    }
}

#[derive(Debug)]
struct InTurn {
    backend: MemoryBackend,
    order: Arc<Order>,
    client: usize,
}

#[async_trait]
impl StorageBackend for InTurn {
    fn location(&self) -> Location {
        self.backend.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.backend.capabilities()
    }

    async fn load(&self) -> Result<Stored> {
        self.order.turn(self.client).await;
        let loaded = self.backend.load().await;
        self.order.done();
        loaded
    }

    async fn confirm(&self, version: &Version) -> Result<bool> {
        self.backend.confirm(version).await
    }

    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        self.order.turn(self.client).await;
        let stored = self.backend.store(expected, payload).await;
        self.order.done();
        stored
    }
}

/// Opens both clients, and returns the titles that each of them reads.
async fn run(keeper: &FakeKeeper, order: u32) -> [Vec<String>; 3] {
    let (backend, token) = (MemoryBackend::from_config("{}"), keeper.issue_token());
    let order = Order::new(order);
    let client = async |client: usize| {
        let in_turn = InTurn { backend: backend.clone(), order: Arc::clone(&order), client };
        let storage = ConfigStorage::open(in_turn).await.unwrap();
        let opened = configured(keeper).token(&*token).open(storage).await;
        order.finish(client);
        titles(&opened.unwrap()).await
    };
    let (one, other) = tokio::join!(client(0), client(1));
    let later = ConfigStorage::open(backend.clone()).await.unwrap();
    let later = KeeperClient::builder().insecure_skip_verify().open(later).await.unwrap();
    [one, other, titles(&later).await]
}

/// A runtime with virtual time, which advances only while no request to Keeper is in progress and no client can
/// proceed.
fn without_waits() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

#[test]
fn all_bind_orders_end_readable() {
    let orders = (0..1 << (2 * STEPS)).filter(|order: &u32| order.count_ones() == STEPS);
    // The clients are interchangeable, so orders in which the second one begins show nothing new.
    let orders: Vec<_> = orders.filter(|order| order & 1 == 0).collect();
    assert_eq!(orders.len(), 126);
    let threads = thread::available_parallelism().map_or(2, NonZero::get);
    for policy in POLICIES {
        let keeper = FakeKeeper::start(policy).unwrap();
        let in_order = async |order: u32| {
            let read = run(&keeper, order).await;
            assert!(read.iter().all(|titles| titles == &TITLES), "{policy:?}, order {order:010b}");
        };
        let run_all = |orders: &[u32]| {
            let runtime = without_waits();
            for order in orders {
                runtime.block_on(in_order(*order));
            }
        };
        thread::scope(|scope| {
            for orders in orders.chunks(orders.len().div_ceil(threads)) {
                scope.spawn(|| run_all(orders));
            }
        });
    }
}
