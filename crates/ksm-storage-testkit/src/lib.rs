//! A conformance suite for backends of `ksm-storage`.
//!
//! Implement [`Fixture`], which creates stores of your backend, and [`Store`], which accesses a store without the
//! backend. A single line then registers every case as a test. The name of a case begins with the contract clause that
//! it checks.
//!
//! ```
//! use std::sync::Arc;
//!
//! use ksm_storage_core::{Payload, StorageBackend};
//! use ksm_storage_memory::MemoryBackend;
//! use ksm_storage_testkit::{Fixture, Store, SystemUnderTest, cases};
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
//! // Or with a test harness of your own:
//! # fn main() {
//! let case = cases().remove(0);
//! assert!(case.check(SystemUnderTest::new(Memory)).is_ok());
//! # }
//! ```
//!
//! # Map
//! | purpose | items |
//! |---|---|
//! | describe a backend to the suite | [`Fixture`], [`Store`], and [`Limits`] for the guarantees of a store |
//! | run the cases | [`conformance_tests!`], [`run_all`], [`cases`](fn@cases) |
//! | inject faults on demand or from a seed | [`Probe`], [`FaultyBackend`] |
//! | make the store or its connection fail | [`Condition`], and for stores over TCP [`Proxy`] |
//! | control time in a test | [`TestClock`] |
//!
//! The tests of the crate `ksm-storage` prove that the cases can fail: each of a set of faulty implementations is
//! caught by a case of the clause that it violates.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(hidden)]
pub mod canary;
mod case;
mod cases;
mod clause;
mod clock;
mod condition;
mod failure;
mod faulty;
mod fixture;
mod handle;
mod histories;
#[doc(hidden)]
pub mod history;
mod probe;
mod proxy;
mod rig;
mod self_check;
mod suite;
mod sut;

pub use case::{Case, Level};
pub use cases::cases;
pub use clause::Clause;
pub use clock::TestClock;
pub use condition::{Condition, NotOffered};
pub use failure::{Failure, FailureKind, Verdict};
pub use faulty::{FaultRates, FaultyBackend};
pub use fixture::{Delayed, Fixture, Limits, Store};
pub use probe::{Gate, LoadFault, Probe, StoreFault};
pub use proxy::Proxy;
pub use suite::{Report, run_all};
pub use sut::SystemUnderTest;

/// Items for the tests of this workspace and for generated tests. Not covered by stability guarantees.
#[doc(hidden)]
pub mod internal {
    pub use crate::{
        handle::{AsyncCore, BlockingCore, Change, Core, Handle, Settings},
        histories::{Mode, Summary, check_histories},
        suite::check,
    };
}
