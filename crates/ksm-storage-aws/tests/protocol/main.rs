//! The write protocol, step by step and at random, over the emulator in process.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod descent;
mod faults;
mod history;
mod random;
mod steps;
mod support;
