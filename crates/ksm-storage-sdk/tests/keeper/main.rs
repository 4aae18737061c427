//! The bridge, with the real SDK, against the stand-in for Keeper's service over HTTPS.

mod bind;
mod calls;
mod support;
