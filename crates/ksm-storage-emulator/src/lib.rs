//! Emulates AWS Secrets Manager, its surrounding services and Keeper on loopback, for tests.
//!
//! [`Emulator`] is a state machine that behaves as AWS documents and injects faults on demand. It implements
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
//! | to | use |
//! |---|---|
//! | run Secrets Manager in process, and control all AWS services | [`Emulator`] |
//! | access a secret without the API | [`Emulator::secret`], [`Secret`] |
//! | serve Secrets Manager, STS, the SSO portal and instance metadata over HTTP | [`Server`], [`InstanceMetadata`] |
//! | inject lost replies, errors, delays | [`Emulator::fail`], [`Fault`] |
//! | add TLS | `TlsFront` (feature `tls`) |
//! | run a fake Keeper service | `keeper::FakeKeeper` (feature `keeper`) |
//! | control it from another language | the program `ksm-storage-emulator`, `control` (feature `program`) |
//! | run the AWS backend in the conformance suite | `fixture::Aws` (feature `testing`) |
//!
//! STS supports `GetCallerIdentity`, `AssumeRole` and `AssumeRoleWithWebIdentity`, the SSO portal `GetRoleCredentials`.
//! Signatures are required but not verified.

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
