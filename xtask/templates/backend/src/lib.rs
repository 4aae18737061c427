//! A configuration in ... (say where, what a user must set up there, and which writers exclude each other).
//!
//! ```no_run
//! use ksm_storage_core::{ConfigKey, ConfigStorage, Error};
//! use ksm_storage_template::TemplateBackend;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let storage = ConfigStorage::open(TemplateBackend::new("address")).await?;
//! storage.set(ConfigKey::Hostname, "keepersecurity.com").await?;
//! # Ok(())
//! # }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod backend;
mod builder;
mod error;

pub use backend::TemplateBackend;
pub use builder::TemplateBuilder;
