//! Tests of the write protocol, step by step and with random timing, on the in-process emulator.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod descent;
mod faults;
mod history;
mod random;
mod steps;
mod support;
