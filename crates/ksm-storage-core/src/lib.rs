//! The storage contract for [Keeper Secrets Manager][ksm] client configurations.
//!
//! A client of Keeper Secrets Manager starts from a small JSON document that contains its private key. This crate
//! defines how a program reads and writes that document, and the requirements on a store that keeps it.
//!
//! - A program uses a [`ConfigStorage`] (or its blocking counterpart, [`blocking::ConfigStorage`]). Opening it takes
//!   one load, reads are served from memory without I/O or locking, and each change is one conditional store.
//! - A store of the document implements [`StorageBackend`]: a load, a confirmation and a conditional store.
//!
//! This crate contains no backend, and its dependency tree no network or TLS crate. Programs depend on `ksm-storage`,
//! which re-exports this crate and adds the backends; a crate that implements a backend depends on this one.
//!
//! ```
//! use ksm_storage_core::{ConfigKey, ConfigStorage, Error};
//! use ksm_storage_memory::MemoryBackend;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let storage = ConfigStorage::open(MemoryBackend::from_config("{}")).await?;
//! storage.set(ConfigKey::Hostname, "keepersecurity.com").await?;
//! let hostname = storage.get(ConfigKey::Hostname);
//! assert_eq!(hostname.as_ref().map(|value| value.expose_secret()), Some("keepersecurity.com"));
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//! - Opening: [`ConfigStorage::open`], [`ConfigStorage::open_or_create`], and [`ConfigStorageBuilder`] for limits and
//!   read-only access; from a backend or anything that [connects](Connect) to one.
//! - Reading: [`ConfigStorage::get`] for one key, a [`Snapshot`] for keys that belong together.
//! - Writing: [`ConfigStorage::set`], [`update`](ConfigStorage::update), [`save`](ConfigStorage::save),
//!   [`replace`](ConfigStorage::replace).
//! - The content: [`ConfigDocument`], [`ConfigKey`], [`BindState`].
//! - Failures: [`Error`] with its [`ErrorKind`] and, for writes, its [`Outcome`].
//! - A backend: [`StorageBackend`] with [`Stored`], [`Absence`], [`StoreOutcome`], [`Version`], [`Payload`],
//!   [`Capabilities`].
//! - No async runtime: [`blocking`], with a [`Driver`](blocking::Driver) for a runtime of your own and for interrupts.
//! - Long-running programs: [`ConfigStorage::keep_fresh`] and [`Changes`].
//! - After a `fork`: [`ConfigStorage::reopen`].
//! - Tests that never wait: [`Clock`].
//! - A dependency that may panic: [`catch_panic`].
//!
//! # The contract
//! The guarantees of a storage over any backend are numbered C1 to C15: `docs/contract.md` in the repository has the
//! clauses, and the crate `ksm-storage-testkit` a test case for each.
//!
//! # Events
//! Loads, stores, conflicts and retries are `tracing` events and spans at `debug`; anything that needs attention is a
//! warning. `docs/reference.md` lists all of them.
//!
//! [ksm]: https://docs.keeper.io/secrets-manager/

#![cfg_attr(docsrs, feature(doc_cfg))]

mod backend;
pub mod blocking;
mod clock;
mod connect;
mod document;
#[cfg(test)]
mod documents;
mod error;
mod events;
mod key;
mod location;
mod measure;
mod nonce;
mod panics;
#[cfg(all(test, shuttle))]
mod schedules;
mod snapshot;
mod storage;
mod stored;
mod sync;
mod text;

pub use backend::{Capabilities, StorageBackend, Writes};
pub use clock::{Clock, SystemClock};
pub use connect::{Connect, OpenOptions};
pub use document::{BindState, ConfigDocument};
pub use error::{Error, ErrorKind, Operation, Outcome, Result};
pub use key::ConfigKey;
pub use location::Location;
pub use nonce::{NONCE_LEN, append_nonce, read_nonce, strip_nonce};
pub use panics::{Panicked, catch_panic};
pub use secrecy::{ExposeSecret, SecretString};
pub use snapshot::{Origin, SecretRef, Snapshot, Verification};
pub use storage::{Changes, ConfigStorage, ConfigStorageBuilder};
pub use stored::{Absence, Displaced, Payload, StoreOutcome, Stored, Version};
pub use text::shell_word;
