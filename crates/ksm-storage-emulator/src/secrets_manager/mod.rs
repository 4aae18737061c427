//! AWS Secrets Manager.

mod admin;
mod api;
mod client;
mod operations;
mod secret;

pub use admin::Secret;
pub use secret::Value;
pub(crate) use secret::{MAX_VERSIONS, Record};
