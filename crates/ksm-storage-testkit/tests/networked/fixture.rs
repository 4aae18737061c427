//! The test server as a fixture of the suite.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use ksm_storage_core::{Payload, StorageBackend};
use ksm_storage_testkit::{Condition, Fixture, Limits, NotOffered, Store};

use crate::{
    backend::Networked,
    faulty::Faulty,
    mistake::Mistake,
    server::{self, Fault, Table},
};

/// A separate table for each case, and backends with or without a mistake.
pub(crate) struct Server(pub(crate) Option<Mistake>);

struct OneTable(Table, Option<Mistake>);

#[async_trait]
impl Fixture for Server {
    fn name(&self) -> String {
        "networked".into()
    }

    async fn fresh(&self) -> Box<dyn Store> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let name = format!("table-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        Box::new(OneTable(Table::create(&name), self.0))
    }
}

#[async_trait]
impl Store for OneTable {
    async fn open(&self) -> Arc<dyn StorageBackend> {
        self.backend(server::address())
    }

    async fn write(&self, payload: Option<Payload>) {
        match payload {
            Some(payload) => self.0.write(payload.as_bytes()),
            None => self.0.empty(),
        }
    }

    async fn read(&self) -> Option<Payload> {
        self.0.read().map(Payload::from)
    }

    fn limits(&self) -> Limits {
        Limits { call: Duration::from_secs(2), ..Limits::default() }
    }

    fn address(&self) -> Option<SocketAddr> {
        Some(server::address())
    }

    async fn open_at(&self, address: SocketAddr) -> Option<Arc<dyn StorageBackend>> {
        Some(self.backend(address))
    }

    async fn impose(&self, condition: Condition) -> Result<(), NotOffered> {
        let fault = match condition {
            Condition::Refused => Fault::Refused,
            Condition::Full => Fault::Full,
            _ => return Err(NotOffered),
        };
        self.0.set_fault(Some(fault));
        Ok(())
    }

    async fn restore(&self) {
        self.0.set_fault(None);
    }

    async fn remove(&self) -> Result<(), NotOffered> {
        self.0.remove();
        Ok(())
    }

    async fn recreate(&self) {
        self.0.recreate();
    }

    fn credentials(&self) -> Vec<String> {
        vec![server::PASSWORD.to_owned()]
    }
}

impl OneTable {
    fn backend(&self, address: SocketAddr) -> Arc<dyn StorageBackend> {
        let backend = Networked::new(address.to_string(), &self.0.name);
        match self.1 {
            Some(mistake) => Arc::new(Faulty::new(backend, mistake)),
            None => Arc::new(backend),
        }
    }
}
