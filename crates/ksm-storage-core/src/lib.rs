//! The storage contract for [Keeper Secrets Manager][ksm] client configurations.
//!
//! A client of Keeper Secrets Manager starts from a small JSON document that holds its private key. This crate
//! says how a program reads and writes that document wherever it is kept, and what a place to keep it must do.
//!
//! - A program holds a [`ConfigStorage`] (or its synchronous twin, [`blocking::ConfigStorage`]). It is opened with
//!   one load, read from memory without I/O or lock, and written with one conditional store per change.
//! - A place to keep the document implements [`StorageBackend`]: a load and a conditional store.
//!
//! No backend is in here; the crate has no network and no TLS in its tree. Programs depend on `ksm-storage`, which has
//! everything of this crate and the backends; a crate that adds a backend depends on this one.
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
//!   read-only; from a backend or what [connects](Connect) to one.
//! - Reading: [`ConfigStorage::get`] for one key, a [`Snapshot`] for keys that belong together.
//! - Writing: [`ConfigStorage::set`], [`update`](ConfigStorage::update), [`save`](ConfigStorage::save),
//!   [`replace`](ConfigStorage::replace).
//! - The content: [`ConfigDocument`], [`ConfigKey`], [`BindState`].
//! - Failures: [`Error`] with its [`ErrorKind`] and, for writes, its [`Outcome`].
//! - A backend: [`StorageBackend`] with [`Stored`], [`Absence`], [`StoreOutcome`], [`Version`], [`Payload`],
//!   [`Capabilities`].
//! - No async runtime: [`blocking`], with a [`Driver`](blocking::Driver) for a runtime of your own and for interrupts.
//! - Programs that run for long: [`ConfigStorage::keep_fresh`] and [`Changes`].
//! - After a `fork`: [`ConfigStorage::reopen`].
//! - Tests that never wait: [`Clock`].
//! - A dependency that may panic: [`catch_panic`].
//!
//! # The contract
//! The promises of a storage over any backend are numbered C1 to C15: the page `docs/contract.md` of the project has
//! the clauses, and the crate `ksm-storage-testkit` a case for each.
//!
//! # Events
//! Loads, stores, conflicts and retries are `tracing` events and spans at `debug`, what deserves attention is a warning.
//! The page `docs/reference.md` has all of them.
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
mod key;
mod location;
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
