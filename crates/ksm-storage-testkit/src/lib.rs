//! A conformance suite that proves a `ksm-storage` backend.
//!
//! Tell the suite how to make a store of yours and how to look at it past the backend; one line then registers every
//! case as a test with a name of its own, which begins with the clause of the contract that it checks.
//!
//! ```
//! use std::sync::Arc;
//!
//! use ksm_storage_core::{Payload, StorageBackend};
//! use ksm_storage_memory::MemoryBackend;
//! use ksm_storage_testkit::{AsyncCore, Fixture, Store, Subject, cases};
//!
//! struct Memory;
//!
//! #[async_trait::async_trait]
//! impl Fixture for Memory {
//!     fn name(&self) -> String {
//!         "memory".into()
//!     }
//!     async fn fresh(&self) -> Box<dyn Store> {
//!         Box::new(MemoryStore(MemoryBackend::new()))
//!     }
//! }
//!
//! struct MemoryStore(MemoryBackend);
//!
//! #[async_trait::async_trait]
//! impl Store for MemoryStore {
//!     async fn open(&self) -> Arc<dyn StorageBackend> {
//!         Arc::new(self.0.clone())
//!     }
//!     async fn write(&self, payload: Option<Payload>) {
//!         self.0.overwrite(payload);
//!     }
//!     async fn read(&self) -> Option<Payload> {
//!         self.0.read()
//!     }
//! }
//!
//! // In `tests/conformance.rs`:
//! ksm_storage_testkit::conformance_tests!(Memory);
//!
//! // Or without a test framework:
//! # fn main() {
//! let subject = Subject { fixture: Arc::new(Memory), core: Arc::new(AsyncCore) };
//! let case = cases().remove(0);
//! assert!(case.check(subject).is_ok());
//! # }
//! ```
//!
//! # Map
//! | for | there is |
//! |---|---|
//! | telling the suite about a store | [`Fixture`], [`Store`], and [`Limits`] of what it can do |
//! | running the cases | [`conformance_tests!`], [`run_all`], [`cases`](fn@cases) |
//! | running random programs, and judging what they return | [`check_histories`], [`history`] |
//! | failing on demand, or by a seed | [`Probe`], [`FaultyBackend`] |
//! | time that does not pass by itself | [`TestClock`] |
//! | a core of your own below the cases | [`Core`], [`Handle`] |
//!
//! That the cases can fail is proven by [`broken`]: wrappers that make a good backend, or core itself, wrong in one way
//! each, and the case that catches each of them.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod broken;
pub mod canary;
mod case;
mod cases;
mod clause;
mod clock;
mod faulty;
mod fixture;
mod histories;
pub mod history;
#[cfg(target_os = "linux")]
pub mod memory;
mod probe;
mod subject;

#[doc(hidden)]
pub use case::check;
pub use case::{Case, Failure, FailureKind, Level, Report, cases, run_all};
pub use clause::Clause;
pub use clock::TestClock;
pub use faulty::{FaultRates, FaultyBackend};
pub use fixture::{Delayed, Fixture, Limits, Store};
pub use histories::{Mode, Tally, check_histories};
pub use probe::{Gate, LoadFault, Probe, StoreFault};
pub use subject::{AsyncCore, BlockingCore, Change, Core, Handle, Settings, Subject};
