//! Stores a Keeper Secrets Manager configuration in one AWS Secrets Manager secret.
//!
//! ```no_run
//! use ksm_storage_aws::{AwsSecretStorage, Error};
//! use ksm_storage_core::ConfigKey;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! // On EC2. On Lambda, ECS, EKS or a workstation: `from_default_config`.
//! let storage = AwsSecretStorage::from_ec2_instance_config("ksm-config").open().await?;
//! if let Some(hostname) = storage.get(ConfigKey::Hostname) {
//!     println!("{}", hostname.expose_secret());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Opening reads the secret once. A write reads it, puts a new version unless another writer was faster, and then
//! checks whether it has displaced a foreign version. [`Concurrency`] describes how this works and the permissions it
//! needs.
//!
//! # Map
//! | for | use |
//! |---|---|
//! | opening a storage, with its credentials and region | [`AwsSecretStorage`], then [`AwsStorageBuilder`] |
//! | naming a secret | [`SecretId`] |
//! | choosing how writers exclude each other | [`Concurrency`] |
//! | checking whether one version was built on another | [`AwsSecretBackend::descends`] |
//! | the region, the identity and the server behind a backend | [`AwsSecretBackend::connection`], [`Connection`] |
//! | a client of your own below the backend | [`AwsSecretBackend::new`], [`SecretsClient`], [`SdkClient`] |
//! | tests without AWS | the crate `ksm-storage-emulator` |
//!
//! # Features
//! - `sso`, `credentials-login`, `credentials-process` (on by default): profiles that sign in through IAM Identity
//!   Center or `aws login`, or that name an external program. Without the feature, such a profile is an error.
//! - `tls-ring` (on by default), `tls-aws-lc`: the TLS library. Both honour `HTTPS_PROXY`, `NO_PROXY`, `AWS_CA_BUNDLE`,
//!   `SSL_CERT_FILE` and `SSL_CERT_DIR`. `ring` starts faster and compiles faster; `aws-lc` has post-quantum key
//!   exchange, and is used if both are on, because features are additive. Without either, HTTPS is an error, unless
//!   [`from_sdk_config`](AwsSecretStorage::from_sdk_config) supplies an HTTP client.
//!
//! # Events
//! This crate and core log with `tracing`: `fallback` (a warning) when EC2 mode falls back to the default chain,
//! `created` when a secret was created; `docs/reference.md` lists all events. The SDK's own events are withheld from
//! the subscriber during a call, because they show the whole of a malformed reply.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod backend;
mod builder;
mod cause;
mod client;
mod concurrency;
mod connection;
mod credentials;
mod descent;
mod describe;
#[cfg(test)]
mod documents;
mod endpoint;
mod environment;
mod error;
mod events;
mod explained;
mod file;
mod given;
mod guarded;
mod hints;
mod history;
mod http;
mod identity;
mod instance;
mod interceptors;
mod modes;
mod process;
mod profile;
mod profile_file;
mod protocol;
mod refusal;
mod region;
mod replies;
mod resolver;
mod sdk;
mod secret_id;
mod setting;
mod sign_in;
mod silence;
mod slot;
mod source;
mod store;
mod thread;
mod throttle;
mod trace;

pub use backend::AwsSecretBackend;
pub use builder::AwsStorageBuilder;
pub use client::{
    CallError, Create, Failure, ListedVersion, MoveCurrent, Put, PutReply, SecretVersion, SecretsClient,
    Select, VersionList,
};
pub use concurrency::Concurrency;
pub use connection::Connection;
pub use descent::Descent;
pub use history::{KeptVersion, Writer};
pub use identity::Identity;
pub use ksm_storage_core::{Error, ErrorKind, Outcome, Result};
pub use modes::AwsSecretStorage;
pub use region::RegionUnknown;
pub use sdk::SdkClient;
pub use secret_id::SecretId;
pub use trace::Peer;
