//! The program with AWS, Keeper, and third-party programs.
//!
//! Missing programs (Python, Node.js, user namespaces) are reported as not checked, or fail the test if
//! `KSM_CONFORMANCE_REQUIRE_ALL=1` is set.
#![cfg(unix)]
#![allow(
    missing_docs,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test has no documentation, may panic, and reports what it left out"
)]

mod commands;
#[path = "../../../ksm-storage/tests/common/mod.rs"]
mod common;
mod container;
mod doctor;
mod examples;
mod exec;
mod history;
#[path = "../../../ksm-storage/tests/common/http.rs"]
mod http;
mod layer;
mod outcomes;
mod support;
