use std::{path::PathBuf, time::Duration};

use ksm_storage_core::Result;

use crate::{error::failed, lock::Lock, paths::FilePaths, read};

/// The age after which a temporary file beside a held lock is considered a leftover.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// The files left by killed writes, and those that writes displaced.
pub(crate) fn find(paths: &FilePaths, is_awaited: &dyn Fn() -> bool) -> Result<Vec<PathBuf>> {
    let list = || paths.leftovers().map_err(|error| failed("list", &paths.folder, error));
    let mut found = list()?;
    if !found.is_empty() && paths.lock().exists() {
        // An active writer has a temporary file too, until it releases the lock.
        let lock = Lock::acquire_within(PATIENCE, paths, is_awaited);
        let remaining = list()?;
        drop(lock);
        found.retain(|path| remaining.contains(path));
    }
    // A killed writer may have displaced a file with another mode.
    for path in &found {
        read::make_private(path);
    }
    Ok(found)
}
