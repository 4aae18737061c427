//! Stores a configuration in memory: for tests, and for programs that receive their configuration at start-up.
//!
//! ```
//! use ksm_storage_core::{ConfigKey, ConfigStorage, Error};
//! use ksm_storage_memory::MemoryBackend;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! // JSON, or base64 of JSON, as `ksm profile export` prints it.
//! let backend = MemoryBackend::from_config(r#"{"hostname": "keepersecurity.com"}"#);
//! let one = ConfigStorage::open(backend.clone()).await?;
//! let other = ConfigStorage::open(backend).await?;
//!
//! one.set(ConfigKey::ClientId, "abc").await?;
//! assert!(!other.contains(ConfigKey::ClientId));
//! assert!(other.refresh().await?.contains(ConfigKey::ClientId));
//! # Ok(())
//! # }
//! ```
//!
//! [`MemoryBackend`] is the only type. Nothing outlives the process; values are zeroized with the last clone and the
//! last storage on it.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod backend;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;

pub use backend::MemoryBackend;
