//! Stores a configuration in a JSON file that only its owner can read.
//!
//! ```
//! use ksm_storage_core::{ConfigKey, ConfigStorage, Error};
//! use ksm_storage_file::FileBackend;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("ksm.json");
//! // Creates the file if there is none; `open` does not.
//! let storage = ConfigStorage::open_or_create(FileBackend::new(path)).await?;
//! storage.set(ConfigKey::Hostname, "keepersecurity.com").await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`FileBackend`] is the backend. [`FileBuilder`] has its only setting, [`Durability`].
//!
//! # The file
//! It contains JSON as every Keeper SDK reads and writes it. A write appends a line break and 64 spaces and tabs, which
//! are different for every write and ignored by parsers.
//!
//! - **Private.** The file is created with mode 0600, regardless of the umask. A file that its group or others may
//!   read, write or execute is refused, with the `chmod` that fixes it. So is a file owned by another user, even for
//!   root: that user could read whatever is stored next. Only regular files are accepted.
//! - **Replaced, never overwritten.** A write creates a new file in the same folder, which then replaces the old one
//!   atomically: at any moment, even after a crash, a reader finds the old content or the new. File and folder are
//!   synced before a write is acknowledged (see [`Durability`]). A file that is itself a mount point cannot be
//!   replaced: mount its folder.
//! - **Symbolic links are followed.** The target of a link is read and replaced; the link stays. A dangling link is an
//!   error. Kubernetes mounts a secret as links; set `defaultMode: 0400` and open it read-only.
//!
//! # Writers
//! [`Writes::Cooperative`](ksm_storage_core::Writes::Cooperative): writers of this crate, in threads and processes,
//! exclude each other by an advisory lock on `NAME.lock` beside the file. The lock file is refused if it is a link or
//! belongs to another user. If it is deleted, the writer that held the lock starts again. Do not share the folder with
//! untrusted users: whoever can rename files in it can replace the configuration.
//!
//! Other programs do not take the lock. A version that they write before the check is detected and respected. A version
//! that lands between the check and the replacement, which is as long as a sync takes, is found afterwards, kept as
//! `NAME.displaced-NUMBER`, and reported by that write as [`Displaced`](ksm_storage_core::ErrorKind::Displaced). If the
//! file system cannot exchange two files atomically, this cannot be detected, and a warning is logged instead. A
//! program that writes in place may be read half-written, as by any other reader, and whatever it writes after the
//! replacement is lost with the old file.
//!
//! A killed writer may leave `NAME.temporary-NUMBER`, with its own content or the content that it has just replaced.
//! Neither these files nor displaced ones are ever deleted automatically. They have mode 0600, the first opening of a
//! backend reports them as warnings, and [`FileBackend::leftovers`] lists them.
//!
//! # Platforms
//! Verified on Linux with local file systems. On macOS and the BSDs, the same steps are taken where the system supports
//! them; on Windows, permissions are not checked and the folder is not synced. **None of these is verified**, and
//! neither are network file systems, whose locks are as reliable as their servers.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod backend;
mod builder;
#[cfg(test)]
mod documents;
mod error;
mod events;
mod failpoint;
mod leftover;
mod lock;
mod os;
mod paths;
mod read;
mod store;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;

#[cfg(all(test, unix))]
mod store_tests;

pub use backend::FileBackend;
pub use builder::{Durability, FileBuilder};
