//! AWS Secrets Manager.

mod admin;
mod api;
mod client;
mod lifecycle;
mod list;
mod lookup;
mod model;
mod policy;
mod replicas;
mod request;
mod secret;
mod tags;
mod validate;
mod values;

pub use admin::Secret;
pub use secret::Value;
pub(crate) use secret::{MAX_VERSIONS, Record};
