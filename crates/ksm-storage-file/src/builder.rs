use std::path::{self, PathBuf};

use crate::FileBackend;

/// The failures that an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A crash of the machine: file and folder are synced before a write is acknowledged.
    #[default]
    Synced,
    /// A crash of the process, but not of the machine: nothing is synced, and after a power failure the file may even be
    /// empty. For tests that write thousands of times, and for nothing else.
    Relaxed,
}

/// Settings of a [`FileBackend`]. Setters never fail: what is wrong with a path is told when the storage is opened.
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

    /// The failures that an acknowledged write survives: [`Durability::Synced`] if not set.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// The backend. A relative path is meant from the folder that is the current one now.
    pub fn build(self) -> FileBackend {
        // It fails on an empty path, which is told when the file is looked for.
        let path = path::absolute(&self.path).unwrap_or(self.path);
        FileBackend::from_parts(path, self.durability)
    }
}
