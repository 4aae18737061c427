//! The blocking counterpart of [`KeeperClient`](crate::KeeperClient).
//!
//! ```no_run
//! use ksm_storage_core::blocking::ConfigStorage;
//! use ksm_storage_keeper::{KeeperClient, blocking};
//! # use ksm_storage_memory::MemoryBackend;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let backend = MemoryBackend::from_config("{}");
//! let storage = ConfigStorage::open(backend)?;
//! let keeper = blocking::KeeperClient::open(KeeperClient::builder().token("US:ONE_TIME_TOKEN"), storage)?;
//! for record in keeper.get_secrets(&[])? {
//!     println!("{}", record.title);
//! }
//! # Ok(())
//! # }
//! ```

use std::future::Future;

use keeper_secrets_manager_core::{KSMRError, Record, SecretsManager};
use ksm_storage_core::{BindState, blocking::ConfigStorage};

use crate::{Error, KeeperClientBuilder, Result};

/// The Keeper SDK on a stored configuration, for programs without an async runtime of their own.
///
/// Its methods are those of [`KeeperClient`](crate::KeeperClient), on the runtime of the
/// [`blocking::ConfigStorage`](ConfigStorage) that it is opened on. It may also be used inside an async runtime; each
/// call blocks its thread.
#[derive(Clone, Debug)]
pub struct KeeperClient {
    client: crate::KeeperClient,
    storage: ConfigStorage,
}

impl KeeperClient {
    /// See [`KeeperClientBuilder::open`].
    ///
    /// # Errors
    /// Those of [`KeeperClientBuilder::open`].
    pub fn open(builder: KeeperClientBuilder, storage: ConfigStorage) -> Result<Self> {
        let client = wait(&storage, |storage| builder.open(storage))?;
        Ok(Self { client, storage })
    }

    /// See [`KeeperClientBuilder::rebind`].
    ///
    /// # Errors
    /// Those of [`KeeperClientBuilder::rebind`].
    pub fn rebind(builder: KeeperClientBuilder, storage: ConfigStorage) -> Result<Self> {
        let client = wait(&storage, |storage| builder.rebind(storage))?;
        Ok(Self { client, storage })
    }

    /// See [`KeeperClient::call`](crate::KeeperClient::call).
    ///
    /// # Errors
    /// Those of [`KeeperClient::call`](crate::KeeperClient::call).
    ///
    /// # Panics
    /// If the closure itself panics.
    pub fn call<T, F>(&self, call: F) -> Result<T>
    where
        F: FnOnce(&mut SecretsManager) -> Result<T, KSMRError> + Send + 'static,
        T: Send + 'static,
    {
        self.run(|client| async move { client.call(call).await })
    }

    /// See [`KeeperClient::get_secrets`](crate::KeeperClient::get_secrets).
    ///
    /// # Errors
    /// Those of [`KeeperClient::call`](crate::KeeperClient::call).
    pub fn get_secrets(&self, uids: &[&str]) -> Result<Vec<Record>> {
        let uids: Vec<_> = uids.iter().map(|&uid| uid.to_owned()).collect();
        self.run(|client| async move {
            let uids: Vec<_> = uids.iter().map(String::as_str).collect();
            client.get_secrets(&uids).await
        })
    }

    /// See [`KeeperClient::get_notation`](crate::KeeperClient::get_notation).
    ///
    /// # Errors
    /// Those of [`KeeperClient::call`](crate::KeeperClient::call).
    pub fn get_notation(&self, notation: &str) -> Result<serde_json::Value> {
        let notation = notation.to_owned();
        self.run(|client| async move { client.get_notation(&notation).await })
    }

    /// See [`KeeperClient::save`](crate::KeeperClient::save).
    ///
    /// # Errors
    /// Those of [`KeeperClient::save`](crate::KeeperClient::save).
    pub fn save(&self) -> Result<()> {
        self.run(|client| async move { client.save().await })
    }

    /// See [`KeeperClient::reload`](crate::KeeperClient::reload).
    ///
    /// # Errors
    /// Those of [`KeeperClient::reload`](crate::KeeperClient::reload).
    pub fn reload(&self) -> Result<()> {
        self.run(|client| async move { client.reload().await })
    }

    /// See [`KeeperClient::bind_state`](crate::KeeperClient::bind_state).
    pub fn bind_state(&self) -> BindState {
        self.client.bind_state()
    }

    /// The storage that the client uses.
    pub fn storage(&self) -> &ConfigStorage {
        &self.storage
    }

    fn run<T, C, F>(&self, call: C) -> Result<T>
    where
        C: FnOnce(crate::KeeperClient) -> F,
        F: Future<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        wait(&self.storage, |_| call(self.client.clone()))
    }
}

fn wait<T, C, F>(storage: &ConfigStorage, call: C) -> Result<T>
where
    C: FnOnce(ksm_storage_core::ConfigStorage) -> F,
    F: Future<Output = Result<T>> + Send + 'static,
    T: Send + 'static,
{
    storage.run_async(call).unwrap_or_else(|error| Err(Error::storage(error, storage.location())))
}
