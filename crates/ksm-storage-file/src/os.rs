//! Differences between systems.

use std::{fs, io, path::Path};

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

/// Creation where files cannot be renamed exclusively: a link does not replace a file either.
fn create_by_link(new: &Path, path: &Path) -> io::Result<Placed> {
    match fs::hard_link(new, path) {
        Ok(()) => {
            // If that fails, the next opening reports it.
            let _ = fs::remove_file(new);
            Ok(Placed::New)
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {
            Err(error)
        }
        // The file system has no links.
        Err(_) => fs::rename(new, path).map(|()| Placed::Replaced),
    }
}
