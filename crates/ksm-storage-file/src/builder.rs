use std::path::{self, PathBuf};

use crate::FileBackend;

/// The failures that an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A crash of the machine: file and folder are synced before a write is acknowledged.
    #[default]
    Synced,
    /// A crash of the process, but not of the machine: nothing is synced, and after a power failure the file may even
    /// be empty. Only for tests that write thousands of times.
    Relaxed,
}

/// Settings of a [`FileBackend`]. Setters never fail: opening reports an invalid path.
///
/// ```
/// use ksm_storage_file::{Durability, FileBackend};
///
/// let backend = FileBackend::builder("ksm.json").durability(Durability::Relaxed).build();
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct FileBuilder {
    path: PathBuf,
    durability: Durability,
}

impl FileBuilder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, durability: Durability::default() }
    }

    /// Sets the failures that an acknowledged write survives. The default is [`Durability::Synced`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Returns the backend. A relative path is resolved against the current directory at this moment.
    pub fn build(self) -> FileBackend {
        // Fails on an empty path, which is reported when the file is opened.
        let path = path::absolute(&self.path).unwrap_or(self.path);
        FileBackend::from_parts(path, self.durability)
    }
}
