//! Platform differences.

#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(crate) use other::*;
#[cfg(unix)]
pub(crate) use unix::*;

/// A way to place a file where another one may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// The two files exchange their names.
    Exchanged,
    /// There is no file.
    New,
    /// It replaces any file that is there.
    Replaced,
}
