//! A configuration in a JSON file that only its owner can read.
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
//! [`FileBackend`] is the backend, [`FileBuilder`] its settings, of which there is one: [`Durability`].
//!
//! # The file
//! It holds JSON, as every Keeper SDK reads and writes it. A write adds a line break and 64 blanks and tabs after the
//! JSON, which are unlike those of any other write and mean nothing to a parser.
//!
//! - **Private.** It is created with the mode 0600, whatever the umask. One that its group or others may read, write or
//!   execute is refused, with the `chmod` that helps, and so is one that belongs to another user, even for root: that
//!   user could read what is stored next. What is not a regular file is refused too.
//! - **Replaced, never overwritten.** A write goes to a new file in the same folder, which then takes the old one's place
//!   in one step: at any moment a reader, or whoever comes after a crash, finds the old content or the new. File and folder
//!   are synced before a write is acknowledged (see [`Durability`]). A file that is itself a mount point cannot be replaced: mount its folder.
//! - **Links are followed.** The file that a symbolic link leads to is read and replaced; the link stays. A link that leads
//!   nowhere is an error. Kubernetes mounts a secret as links; give it `defaultMode: 0400` and open it read-only.
//!
//! # Writers
//! [`Writes::Cooperative`](ksm_storage_core::Writes::Cooperative): writers of this crate exclude each other, in threads and
//! processes, by an advisory lock on `NAME.lock` beside the file. It is refused if it is a link or belongs to another user.
//! If somebody deletes it, a writer that had locked it starts again. Do not share the folder with users who are not trusted:
//! whoever can rename in it can replace the configuration.
//!
//! Other programs do not ask for the lock. What they write before the check is found and respected. What lands between
//! the check and the replacement, which is as long as a sync takes, is found afterwards, kept as
//! `NAME.displaced-NUMBER`, and reported by that write as [`Displaced`](ksm_storage_core::ErrorKind::Displaced). Where the
//! file system cannot exchange two files in one step, that cannot be told, and a warning is logged instead. A program that writes in place can be read half-way, as by any other reader, and what it
//! writes after the replacement is lost with the old file.
//!
//! A writer that is killed may leave `NAME.temporary-NUMBER`: its own content, or the one that it has just replaced. Neither
//! these files nor displaced ones are ever deleted automatically. They have the mode 0600, each opening reports them as
//! warning events, and [`FileBackend::leftovers`] lists them.
//!
//! # Platforms
//! Verified on Linux with local file systems. On macOS and the BSDs the same steps are taken where the system has them;
//! on Windows there is no check of permissions and no sync of the folder. **None of these is verified**, and neither are
//! network file systems, whose locks are worth what their server makes of them.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod backend;
mod builder;
mod error;
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
mod version;

#[cfg(all(test, unix))]
mod store_tests;

pub use backend::FileBackend;
pub use builder::{Durability, FileBuilder};
