//! A store on which a [`Condition`] can be imposed.

use std::{future::Future, sync::Arc};

use ksm_storage_core::{StorageBackend, StoreOutcome, Stored, Version};
use tokio::time::timeout;

use crate::{Condition, Failure, FailureKind, Fixture, Proxy, Store};

/// A store that holds a document, a backend on it, and a proxy in between if the store has an address.
pub(crate) struct Rig {
    pub(crate) store: Box<dyn Store>,
    pub(crate) backend: Arc<dyn StorageBackend>,
    proxy: Option<Proxy>,
}

impl Rig {
    pub(crate) async fn new(fixture: &dyn Fixture, json: &str) -> Result<Self, Failure> {
        let store = fixture.fresh().await;
        store.write(Some(json.into())).await;
        let Some(address) = store.address() else {
            let backend = store.open().await;
            return Ok(Self { store, backend, proxy: None });
        };
        let proxy =
            Proxy::start(address).map_err(|error| Failure::inconclusive(format!("no proxy: {error}")))?;
        let backend = store.open_at(proxy.address()).await;
        let backend =
            backend.ok_or_else(|| Failure::fixture("`address` is given, and `open_at` returns nothing"))?;
        Ok(Self { store, backend, proxy: Some(proxy) })
    }

    /// Imposes `condition` on the store.
    pub(crate) async fn impose(&self, condition: Condition) -> Result<(), Failure> {
        match (self.store.impose(condition).await, &self.proxy) {
            (Ok(()), _) => Ok(()),
            (Err(_), Some(proxy)) if condition.is_of_connections() => {
                proxy.impose(condition);
                Ok(())
            }
            (Err(_), _) => {
                Err(Failure::not_checked(format!("the fixture offers no store that is {condition}")))
            }
        }
    }

    pub(crate) async fn restore(&self) {
        self.store.restore().await;
        if let Some(proxy) = &self.proxy {
            proxy.restore();
        }
    }

    /// The output of a call, if it completes within the store's limit.
    pub(crate) async fn ends<T>(&self, name: &str, call: impl Future<Output = T>) -> Result<T, Failure> {
        let limit = self.store.limits().call;
        timeout(limit, call).await.map_err(|_| {
            Failure::new(
                FailureKind::Hung,
                format!("a {name} has not completed within {limit:?}, the limit of its fixture"),
            )
        })
    }

    pub(crate) async fn load(&self) -> Result<Result<Stored, ksm_storage_core::Error>, Failure> {
        self.ends("load", self.backend.load()).await
    }

    pub(crate) async fn store(
        &self,
        expected: &Version,
        json: &str,
    ) -> Result<Result<StoreOutcome, ksm_storage_core::Error>, Failure> {
        self.ends("store", self.backend.store(expected, &json.into())).await
    }
}
