//! The AWS backend keeps the contract: over the emulator in process, and by the real SDK over HTTP.
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

mod optimistic_over_http {
    use super::*;
    conformance_tests!(Aws(Concurrency::Optimistic, Transport::Http));
}

mod strict_over_http {
    use super::*;
    conformance_tests!(Aws(Concurrency::Strict, Transport::Http));
}
