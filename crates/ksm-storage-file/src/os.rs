//! Platform differences.

#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(crate) use other::*;
#[cfg(unix)]
pub(crate) use unix::*;

/// Effect of placing a file on the file that was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android", target_vendor = "apple")),
    expect(dead_code, reason = "elsewhere files cannot be exchanged")
)]
pub(crate) enum Placed {
    /// The two files have been exchanged: the old one now has the new one's former name.
    Exchanged,
    /// There was no file.
    New,
    /// It has replaced any file that was there.
    Replaced,
}
