//! The bridge with the real SDK, against the fake Keeper over HTTPS.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod ahead;
mod bind;
mod calls;
mod dropped;
mod follow;
mod hostile;
mod leaks;
mod operations;
mod orders;
mod settings;
mod shared;
mod stored;
mod support;
