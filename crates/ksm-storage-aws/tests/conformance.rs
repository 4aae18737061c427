//! The contract of the AWS backend, checked on the in-process emulator.
//!
//! The conformance matrix of `ksm-storage` repeats this over HTTP with the real SDK, and on third-party emulators.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use ksm_storage_aws::Concurrency;
use ksm_storage_emulator::fixture::{Aws, Transport};
use ksm_storage_testkit::conformance_tests;

mod optimistic {
    use super::*;
    conformance_tests!(Aws(Concurrency::Optimistic, Transport::InProcess));
}

mod strict {
    use super::*;
    conformance_tests!(Aws(Concurrency::Strict, Transport::InProcess));
}
