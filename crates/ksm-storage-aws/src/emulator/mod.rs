//! A stand-in for one region of AWS Secrets Manager, for tests and demonstrations.
//!
//! [`Emulator`] is a state machine that behaves as the service documents it, and sometimes, on demand, as a network does.
//! It is itself a [`SecretsClient`](crate::SecretsClient); [`Server`] serves it over HTTP, together with an instance
//! metadata service.

mod api;
mod face;
mod fault;
mod http;
mod imds;
mod outside;
mod secret;
mod state;
mod wire;

pub use fault::{Break, Fault};
pub use http::Server;
pub use imds::InstanceMetadata;
pub use outside::Secret;
pub use secret::{Refusal, Value};
pub use state::{Action, Emulator};
