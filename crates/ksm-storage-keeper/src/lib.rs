//! The unmodified [Keeper Secrets Manager SDK][sdk] over any [`ConfigStorage`].
//!
//! The SDK keeps its configuration in a file or in memory, and accepts no other storage. [`KeeperClient`] gives it a
//! copy in memory, and stores its changes in any [`ConfigStorage`].
//!
//! ```no_run
//! use ksm_storage_core::ConfigStorage;
//! use ksm_storage_keeper::KeeperClient;
//! # use ksm_storage_memory::MemoryBackend;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let backend = MemoryBackend::from_config("{}");
//! let storage = ConfigStorage::open(backend).await?;
//! // The token is for the first start only; later starts ignore it.
//! let keeper = KeeperClient::builder().token("US:ONE_TIME_TOKEN").open(storage).await?;
//! for record in keeper.get_secrets(&[]).await? {
//!     println!("{}", record.title);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//! | to | use |
//! |---|---|
//! | start, and bind the first time | [`KeeperClient::builder`], then [`KeeperClientBuilder::open`] |
//! | bind again | [`KeeperClientBuilder::rebind`] |
//! | call the SDK | [`KeeperClient::call`], [`KeeperClient::get_secrets`] |
//! | pick up a replaced configuration | [`KeeperClient::reload`] |
//! | work without an async runtime | [`blocking`] |
//! | implement the SDK's storage trait | [`KeyValueAdapter`] |
//! | use the SDK's own types | [`sdk`] |
//! | test without Keeper | the crate `ksm-storage-emulator` |
//!
//! # Crash safety of a bind
//! A one-time token binds one key pair, once. The key pair is therefore stored before the first request, and the
//! application key as soon as the first reply contains it, before any other request: two writes. If the program is
//! killed in between, the next start continues, with or without the token. If Keeper returns the application key only
//! once and that reply is lost, the bind cannot be completed: [`ErrorKind::TokenSpent`].
//!
//! By default, Keeper locks a client to the external IP address from which its token is first used. Bind from the
//! address that the program will have, or create the token without the lock (`--unlock-ip` in Keeper Commander);
//! otherwise the client gets [`ErrorKind::AccessDenied`].
//!
//! A bind takes over an empty object, or a document that contains only keys of Keeper's SDKs. Until the client is
//! bound, the host and server key of the builder and the token override stored ones.
//!
//! # Limits
//! Requests to Keeper's service end within [`KeeperClientBuilder::request_timeout`], replies are limited to 32 MiB, and
//! redirects are not followed. File downloads and uploads use the SDK's own HTTP client, which limits neither the size
//! of a file nor the total time.
//!
//! # TLS
//! Requests to Keeper's service use the rustls provider that the program has installed for the process. If there is
//! none, they use ring, or aws-lc with the feature `tls-aws-lc`. The root certificates come from `SSL_CERT_FILE` and
//! `SSL_CERT_DIR`, otherwise from the system. Without an installed provider, the SDK's client for files uses aws-lc.
//!
//! # Panics
//! A panic of the SDK becomes [`ErrorKind::Panicked`]; a panic of the closure passed to [`KeeperClient::call`] resumes
//! in the caller. To distinguish the two, the first call wraps the process's panic hook: the new hook records the
//! origin of panics on threads that run a call, and then calls the previous hook.
//!
//! # Environment
//! The SDK itself reads three variables: `KSM_HOSTNAME` overrides the stored host name, `KSM_SKIP_VERIFY=true` accepts
//! any certificate, and `HTTPS_PROXY` names a proxy. A malformed value is an error that names the variable. `KSM_TOKEN`
//! and `KSM_CONFIG` are not read: the token is passed to the [builder](KeeperClient::builder), and the configuration
//! comes from the storage.
//!
//! # Logging
//! At debug level, the SDK logs its requests including their content. Keep the target `keeper_secrets_manager_core` at
//! `info` or above.
//!
//! [sdk]: https://docs.rs/keeper-secrets-manager-core
//! [`ConfigStorage`]: ksm_storage_core::ConfigStorage

#![cfg_attr(docsrs, feature(doc_cfg))]

mod ahead;
mod bind;
pub mod blocking;
mod builder;
mod client;
mod config;
#[cfg(test)]
mod documents;
mod error;
mod events;
mod group;
mod host;
mod http;
mod key_value;
mod keys;
mod panics;
mod peer;
mod post;
mod sdk_error;
mod session;
mod settings;
mod token;

pub use builder::KeeperClientBuilder;
pub use client::KeeperClient;
pub use error::{Error, ErrorKind, Result};
/// The SDK itself, in the version that this crate supports.
pub use keeper_secrets_manager_core as sdk;
pub use key_value::KeyValueAdapter;
