//! A stand-in for one region of AWS Secrets Manager, for tests and demonstrations.
//!
//! [`Emulator`] is a state machine that behaves as the service documents it, and sometimes, on demand, as a network does.
//! It is itself a [`SecretsClient`](ksm_storage_aws::SecretsClient); [`Server`] serves it over HTTP, together with an instance
//! metadata service.
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

#![cfg_attr(docsrs, feature(doc_cfg))]

mod api;
mod face;
mod fault;
#[cfg(feature = "testing")]
pub mod fixture;
mod http;
mod imds;
#[cfg(feature = "keeper")]
pub mod keeper;
mod outside;
mod secret;
mod server;
mod state;
#[cfg(feature = "tls")]
mod tls;
mod wire;

pub use fault::{Break, Fault};
pub use http::Server;
pub use imds::InstanceMetadata;
pub use outside::Secret;
pub use secret::{Refusal, Value};
pub use state::{Action, Emulator};
#[cfg(feature = "tls")]
pub use tls::TlsFront;
