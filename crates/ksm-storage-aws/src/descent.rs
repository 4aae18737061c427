//! Descent: whether one version was built on another.

use ksm_storage_core::{Result, Version};

use crate::{
    backend::{AwsSecretBackend, Inner},
    client::Select,
    error::Call,
    protocol::VersionId,
};

/// The most generations that are followed.
const MAX_HOPS: usize = 8;

/// Result of [`AwsSecretBackend::descends`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Descent {
    /// Every version from the one to the other was written by this project, each on the one before.
    Yes,
    /// The chain of versions ends before it reaches the other: a foreign write or a rollback came between.
    No,
    /// It cannot be told: the chain is longer than 8 versions, has branches, or a version of it has expired.
    Unknown,
}

impl AwsSecretBackend {
    /// Tells whether the version `to` descends from `from` by writes of this project alone.
    ///
    /// IDs of successors are computed from those of their bases. So a descendant within 8 generations is recognised
    /// without a call; otherwise the chain is followed by version ID, with at most 18 calls.
    ///
    /// # Errors
    /// Those of a load.
    pub async fn descends(&self, from: &Version, to: &Version) -> Result<Descent> {
        self.inner().descends(from, to).await
    }
}

impl Inner {
    async fn descends(&self, from: &Version, to: &Version) -> Result<Descent> {
        if from == to || from.chain().take(MAX_HOPS).any(|parent| to.is_slot_of(&parent)) {
            return Ok(Descent::Yes);
        }
        if !from.is_no_value() && !self.exists(from).await? {
            return Ok(Descent::Unknown);
        }
        let mut chain = vec![from.clone()];
        for next in from.chain().skip(1).take(MAX_HOPS) {
            if self.exists(&next).await? {
                chain.push(next);
                continue;
            }
            // The second slot is the first of another branch, which may lead there.
            for parent in &chain {
                if self.exists(&parent.slot(2)).await? {
                    return Ok(Descent::Unknown);
                }
            }
            return Ok(Descent::No);
        }
        Ok(Descent::Unknown)
    }

    pub(crate) async fn exists(&self, version: &Version) -> Result<bool> {
        match self.get(Select::Id(version.as_str().to_owned())).await {
            Ok(_) => Ok(true),
            Err(error) if error.is("ResourceNotFoundException") => Ok(false),
            Err(error) => Err(self.failed(Call::Get, error)),
        }
    }
}
