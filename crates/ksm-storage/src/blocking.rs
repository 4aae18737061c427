//! The blocking counterparts of [`ConfigStorage`](crate::ConfigStorage), [`open`](crate::open) and
//! [`open_from_env`](crate::open_from_env).
//!
//! ```
//! # #[cfg(feature = "memory")] {
//! use ksm_storage::{ConfigKey, blocking};
//!
//! let storage = blocking::open("memory:")?;
//! storage.set(ConfigKey::Hostname, "keepersecurity.com")?;
//! assert!(storage.contains(ConfigKey::Hostname));
//! # }
//! # Ok::<(), ksm_storage::Error>(())
//! ```

pub use ksm_storage_core::blocking::*;

#[cfg(doc)]
use crate::ErrorKind;
use crate::Result;

/// See [`open`](crate::open).
///
/// # Errors
/// Those of [`open`](crate::open), and [`ErrorKind::Runtime`] if no thread can be started.
pub fn open(url: &str) -> Result<ConfigStorage> {
    let url = url.to_owned();
    ConfigStorage::open_with(async move { crate::open(&url).await })
}

/// See [`open_from_env`](crate::open_from_env).
///
/// # Errors
/// Those of [`open_from_env`](crate::open_from_env), and [`ErrorKind::Runtime`] if no thread can be started.
pub fn open_from_env() -> Result<ConfigStorage> {
    ConfigStorage::open_with(crate::open_from_env())
}
