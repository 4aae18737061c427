use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::{
    BindState, ConfigDocument, ConfigKey, Version,
    sync::{Arc, Guard},
};

/// An immutable document together with its version.
///
/// Read keys that belong together from one snapshot. Clones share the content.
///
/// ```
/// use ksm_storage_core::{BindState, ConfigKey, ConfigStorage};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), ksm_storage_core::Error> {
/// # let backend = ksm_storage_memory::MemoryBackend::from_config(r#"{"hostname": "keepersecurity.com"}"#);
/// let storage = ConfigStorage::open(backend).await?;
/// let snapshot = storage.snapshot();
/// assert_eq!(snapshot.bind_state(), BindState::Empty);
/// assert!(snapshot.contains(ConfigKey::Hostname));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Snapshot(Arc<Content>);

#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) version: Version,
    pub(crate) document: ConfigDocument,
    pub(crate) verification: Verification,
    pub(crate) origin: Origin,
}

/// Origin of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The store itself.
    Store,
    /// A copy, because the store could not be reached when the storage was opened. It may be outdated, so it cannot be
    /// the base of a [`save`](crate::ConfigStorage::save); the next refresh or write replaces it.
    Replica,
}

/// Result of the check for displaced versions that follows a write.
///
/// A write that displaced something ends in [`ErrorKind::Displaced`](crate::ErrorKind::Displaced).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verification {
    /// Nothing is left to check: the write displaced nothing, or reported what it displaced, or was not made by this
    /// handle or a clone.
    Conclusive,
    /// This handle or a clone wrote the version, and it is unknown whether the write displaced anything.
    Inconclusive,
}

impl Snapshot {
    pub(crate) fn new(version: Version, document: ConfigDocument, verification: Verification) -> Self {
        Self(Arc::new(Content { version, document, verification, origin: Origin::Store }))
    }

    pub(crate) fn of_replica(version: Version, document: ConfigDocument) -> Self {
        let (verification, origin) = (Verification::Conclusive, Origin::Replica);
        Self(Arc::new(Content { version, document, verification, origin }))
    }

    pub(crate) fn from_content(content: Arc<Content>) -> Self {
        Self(content)
    }

    pub(crate) fn into_content(self) -> Arc<Content> {
        self.0
    }

    /// The store event that made this content current.
    pub fn version(&self) -> &Version {
        &self.0.version
    }

    /// Result of the check that followed the write of this version, if this handle wrote it.
    pub fn verification(&self) -> Verification {
        self.0.verification
    }

    /// The place that the content was read from.
    pub fn origin(&self) -> Origin {
        self.0.origin
    }

    /// The content. Clone it to make changes.
    pub fn document(&self) -> &ConfigDocument {
        &self.0.document
    }

    /// See [`ConfigDocument::get`].
    pub fn get(&self, key: ConfigKey) -> Option<&SecretString> {
        self.document().get(key)
    }

    /// See [`ConfigDocument::contains`].
    pub fn contains(&self, key: ConfigKey) -> bool {
        self.document().contains(key)
    }

    /// See [`ConfigDocument::is_empty`].
    pub fn is_empty(&self) -> bool {
        self.document().is_empty()
    }

    /// See [`ConfigDocument::bind_state`].
    pub fn bind_state(&self) -> BindState {
        self.document().bind_state()
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("version", &self.0.version)
            .field("document", &self.0.document)
            .finish()
    }
}

/// One value, borrowed from the snapshot that was current when it was read.
///
/// A guard into the snapshot: nothing is copied or locked. Drop it soon, and do not hold it across an `await`, because
/// it keeps the snapshot from being zeroized. To keep values for longer, use [`Snapshot`].
///
/// ```
/// # use ksm_storage_core::{ConfigKey, ConfigStorage};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), ksm_storage_core::Error> {
/// # let backend = ksm_storage_memory::MemoryBackend::from_config(r#"{"hostname": "keepersecurity.com"}"#);
/// # let storage = ConfigStorage::open(backend).await?;
/// let length = storage.get(ConfigKey::Hostname).map_or(0, |value| value.expose_secret().len());
/// assert_eq!(length, 18);
/// # Ok(())
/// # }
/// ```
pub struct SecretRef {
    content: Guard<Arc<Content>>,
    key: ConfigKey,
}

impl SecretRef {
    #[inline]
    pub(crate) fn new(content: Guard<Arc<Content>>, key: ConfigKey) -> Option<Self> {
        content.document.contains(key).then_some(Self { content, key })
    }

    /// The value. Do not print it.
    #[inline]
    pub fn expose_secret(&self) -> &str {
        self.content.document.get(self.key).map_or("", ExposeSecret::expose_secret)
    }
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretRef({}: {} bytes)", self.key, self.expose_secret().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(json: &str) -> Snapshot {
        Snapshot::new(
            Version::new("v7"),
            ConfigDocument::parse(json.as_bytes()).unwrap(),
            Verification::Conclusive,
        )
    }

    #[test]
    fn snapshot_reflects_its_document() {
        let empty = snapshot("{}");
        assert!(empty.is_empty() && !empty.contains(ConfigKey::Url) && empty.get(ConfigKey::Url).is_none());
        assert_eq!(empty.bind_state(), BindState::Empty);
        let other = snapshot(r#"{"url":"secret","clientKey":"t"}"#);
        assert!(!other.is_empty() && other.contains(ConfigKey::Url) && !other.contains(ConfigKey::Bat));
        assert_eq!(other.get(ConfigKey::Url).unwrap().expose_secret(), "secret");
        assert_eq!(other.bind_state(), BindState::Unbound);
        assert_eq!(other.version().as_str(), "v7");
    }

    #[test]
    fn debug_shows_version_and_lengths() {
        let shown = format!("{:?}", snapshot(r#"{"url":"secret"}"#));
        assert_eq!(shown, "Snapshot { version: Version(v7), document: ConfigDocument {url: 6 bytes} }");
    }
}
