//! Version names of store events.

use std::{
    fs::Metadata,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::LazyLock,
};

use ksm_storage_core::{Payload, Version};

use crate::os;

/// Versions are logged. Keyed per process, their hash reveals nothing about the content, however guessable that is.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The version of a file with these bytes. The nonce distinguishes writes of this crate. The file's identity, times and
/// content distinguish writes of other programs, and earlier files that were put back.
pub(crate) fn of_file(bytes: &Payload, nonce: Option<u64>, metadata: &Metadata) -> Version {
    let mut hasher = KEY.build_hasher();
    os::identity(metadata).hash(&mut hasher);
    bytes.as_bytes().hash(&mut hasher);
    let tag = hasher.finish();
    Version::new(match nonce {
        Some(nonce) => format!("{nonce:016x}-{tag:016x}"),
        None => format!("foreign-{tag:016x}"),
    })
}

/// The version that stands for an absent file, beside this lock file.
pub(crate) fn of_nothing(lock: Option<&Metadata>) -> Version {
    // An empty lock file is equivalent to none: the first writer creates it.
    let identity = lock.filter(|lock| lock.len() > 0).map(os::identity);
    Version::new(format!("absent-{:016x}", KEY.hash_one(identity)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Simulates a write in place within one tick of the file system's clock.
    #[test]
    fn other_content_has_another_version() {
        let metadata = std::fs::metadata(env!("CARGO_MANIFEST_DIR")).unwrap();
        for nonce in [None, Some(7)] {
            let [one, other] = ["one", "two"].map(|content| of_file(&content.into(), nonce, &metadata));
            assert_ne!(one, other);
            assert_eq!(one, of_file(&"one".into(), nonce, &metadata));
        }
    }
}
