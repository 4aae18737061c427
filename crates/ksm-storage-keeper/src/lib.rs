//! The unmodified [Keeper Secrets Manager SDK][sdk] over any [`ConfigStorage`].
//!
//! The SDK keeps its configuration in a file or in memory, and accepts no other storage. [`KeeperClient`] runs it over
//! whatever a [`ConfigStorage`] is opened on: it gives the SDK a copy in memory, and stores what the SDK changes.
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
//! // The token is for the first start alone: later ones need none, and do not mind it.
//! let keeper = KeeperClient::builder().token("US:ONE_TIME_TOKEN").open(storage).await?;
//! for record in keeper.get_secrets(&[]).await? {
//!     println!("{}", record.title);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//! | for | there is |
//! |---|---|
//! | starting, and binding the first time | [`KeeperClient::builder`], then [`KeeperClientBuilder::open`] |
//! | binding anew | [`KeeperClientBuilder::rebind`] |
//! | any call of the SDK | [`KeeperClient::call`], [`KeeperClient::get_secrets`] |
//! | a configuration that somebody replaced | [`KeeperClient::reload`] |
//! | no async runtime | [`blocking`] |
//! | code that is generic over the SDK's storage trait | [`KeyValueAdapter`] |
//! | the SDK's own types | [`sdk`] |
//! | tests without Keeper | the crate `ksm-storage-emulator` |
//!
//! # What a bind survives
//! A one-time token binds one key pair, once. The key pair is therefore stored before the first request, and the
//! application key as soon as the first reply has it, before any other request: two writes. A program that is killed in
//! between goes on from there when it is started again, with or without the token. Where Keeper's service gives the
//! application key once only, and that one reply is lost, nobody can go on; that is [`ErrorKind::TokenSpent`].
//!
//! By default Keeper locks a client to the external IP address from which its token is first used. Bind from behind the
//! address that the program has, or make the token without the lock (`--unlock-ip` in Keeper Commander); otherwise the
//! client gets [`ErrorKind::AccessDenied`].
//!
//! A bind takes over an empty object and documents that hold nothing but keys of Keeper's SDKs. Until the client is bound,
//! the host and the server key of the builder and the token take the place of stored ones.
//!
//! # Limits
//! Requests to Keeper's service end within [`KeeperClientBuilder::request_timeout`], a reply is read up to 32 MiB, and
//! redirects are not followed. Downloads and uploads of files are made by the SDK's own HTTP client, which limits neither
//! the size of a file nor the time that all of it takes.
//!
//! # TLS
//! Requests to Keeper's service are encrypted by the rustls provider that the program has installed for the process. If it
//! has installed none, it is ring, or aws-lc with the feature `tls-aws-lc`. The root certificates are those of
//! `SSL_CERT_FILE` and `SSL_CERT_DIR`, else those of the system. The SDK's client for files takes aws-lc where no provider
//! is installed.
//!
//! # Panics
//! A panic of the SDK becomes [`ErrorKind::Panicked`]; one of the closure that is given to [`KeeperClient::call`] goes on in
//! the caller. To tell them apart, the first call adds to the process's panic hook. It notes where a panic on a thread that
//! runs a call comes from, and calls the hook that was there.
//!
//! # Environment
//! Three variables are read by the SDK itself: `KSM_HOSTNAME` takes the place of the stored host name,
//! `KSM_SKIP_VERIFY=true` accepts any certificate, and `HTTPS_PROXY` names a proxy; a malformed value is an
//! error that names the variable. `KSM_TOKEN` and `KSM_CONFIG` are not
//! read: the token is given to the [builder](KeeperClient::builder), the configuration is the storage's.
//!
//! # Logging
//! At debug level the SDK logs its requests, with what they hold. Keep the target `keeper_secrets_manager_core` at
//! `info` or above.
//!
//! [sdk]: https://docs.rs/keeper-secrets-manager-core
//! [`ConfigStorage`]: ksm_storage_core::ConfigStorage

#![cfg_attr(docsrs, feature(doc_cfg))]

mod bind;
pub mod blocking;
mod builder;
mod client;
mod config;
#[cfg(test)]
mod documents;
mod error;
mod group;
mod host;
mod http;
mod key_value;
mod keys;
mod panics;
mod post;
mod sdk_error;
mod session;
mod settings;
mod token;

pub use builder::KeeperClientBuilder;
pub use client::KeeperClient;
pub use error::{Error, ErrorKind, Result};
/// The SDK itself, in the version that this crate was made for.
pub use keeper_secrets_manager_core as sdk;
pub use key_value::KeyValueAdapter;
