//! The template backend keeps the contract.
#![allow(missing_docs)]

mod fixture;

use fixture::Fresh;
use ksm_storage_testkit::conformance_tests;

conformance_tests!(Fresh);
