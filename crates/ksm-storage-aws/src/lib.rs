//! AWS

mod backend;
mod client;
#[cfg(feature = "emulator")]
pub mod emulator;
mod error;
mod secret_id;
mod slot;

pub use backend::{AwsSecretBackend, Concurrency};
pub use client::{
    CallError, Create, Failure, MoveCurrent, Put, PutReply, SecretVersion, SecretsClient, Select,
};
pub use ksm_storage_core::{Error, ErrorKind, Outcome, Result};
pub use secret_id::SecretId;
