//! AWS Secrets Manager, the services around it and a fake Keeper service on loopback, for tests.
//!
//! [`Emulator`] is a state machine that behaves as AWS documents it and injects faults on demand. It implements
//! [`SecretsClient`](ksm_storage_aws::SecretsClient); [`Server`] serves it over HTTP to any client.
//!
//! ```
//! use ksm_storage_aws::{AwsSecretStorage, ErrorKind};
//! use ksm_storage_emulator::{Action, Emulator, Server, Value};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::start(Emulator::new("us-east-1")).await?;
//! let emulator = server.emulator();
//! emulator.secret("ksm-config").overwrite(Value::Text("{}".into()));
//!
//! let open = || AwsSecretStorage::from_custom_config("ksm-config", "AKIA", "key", "us-east-1").endpoint_url(server.url());
//! let storage = open().open().await?;
//! assert_eq!(emulator.calls(Action::GetSecretValue), 1);
//!
//! emulator.deny(Action::GetSecretValue, "AccessDeniedException");
//! assert_eq!(open().open().await.unwrap_err().kind(), ErrorKind::AccessDenied);
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//! | for | there is |
//! |---|---|
//! | Secrets Manager in process, and control of all AWS services | [`Emulator`] |
//! | a secret past its API | [`Emulator::secret`], [`Secret`] |
//! | Secrets Manager, STS, the SSO portal and instance metadata over HTTP | [`Server`], [`InstanceMetadata`] |
//! | lost replies, errors, delays | [`Emulator::fail`], [`Fault`] |
//! | TLS in front of it | `TlsFront` (feature `tls`) |
//! | a fake Keeper service | `keeper::FakeKeeper` (feature `keeper`) |
//! | control by a program in another language | the program `ksm-storage-emulator`, `control` (feature `program`) |
//! | the AWS backend in the conformance suite | `fixture::Aws` (feature `testing`) |
//!
//! STS answers `GetCallerIdentity`, `AssumeRole` and `AssumeRoleWithWebIdentity`, the SSO portal `GetRoleCredentials`.
//! Signatures must be there but are not verified.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod action;
mod clock;
#[cfg(feature = "program")]
pub mod control;
mod emulator;
mod fault;
#[cfg(feature = "testing")]
pub mod fixture;
mod form;
mod http;
mod imds;
#[cfg(feature = "keeper")]
pub mod keeper;
mod secrets_manager;
mod server;
mod sso;
mod sts;
#[cfg(feature = "tls")]
mod tls;
mod wire;

pub use action::Action;
pub use emulator::Emulator;
pub use fault::{ApiError, Fault, ResponseFault};
pub use http::Server;
pub use imds::InstanceMetadata;
pub use secrets_manager::{Secret, Value};
#[cfg(feature = "tls")]
pub use tls::TlsFront;
