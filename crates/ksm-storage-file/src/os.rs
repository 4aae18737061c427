//! Differences between systems.

#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(crate) use other::*;
#[cfg(unix)]
pub(crate) use unix::*;

/// Effect of a file that took its place in one step on the one that was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android", target_vendor = "apple")),
    expect(dead_code, reason = "elsewhere files cannot be exchanged")
)]
pub(crate) enum Placed {
    /// The two have changed places: the old one has the new one's former name.
    Exchanged,
    /// There was none.
    New,
    /// It has replaced whatever was there.
    Replaced,
}
