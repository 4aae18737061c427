//! AWS

mod backend;
mod builder;
mod client;
mod credentials;
#[cfg(feature = "emulator")]
pub mod emulator;
mod error;
mod region;
mod sdk;
mod secret_id;
mod slot;

pub use backend::{AwsSecretBackend, Concurrency};
pub use builder::{AwsSecretStorage, AwsStorageBuilder};
pub use client::{
    CallError, Create, Failure, MoveCurrent, Put, PutReply, SecretVersion, SecretsClient, Select,
};
pub use ksm_storage_core::{Error, ErrorKind, Outcome, Result};
pub use sdk::SdkClient;
pub use secret_id::SecretId;
