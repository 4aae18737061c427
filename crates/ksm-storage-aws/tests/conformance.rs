//! The AWS backend keeps the contract over the emulator in process.
//!
//! The conformance matrix of `ksm-storage` repeats this with the real SDK over HTTP, and on emulators written by others.
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
