//! The program with AWS, Keeper, and programs of others.
#![cfg(unix)]
#![allow(
    missing_docs,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test has no documentation, may panic, and reports what it left out"
)]

mod history;
mod support;
