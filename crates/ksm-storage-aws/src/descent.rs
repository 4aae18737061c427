//! Determines whether one version was built on another.

use std::{
    pin::pin,
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::{Either, select};
use ksm_storage_core::{Result, Version};

use crate::{
    backend::{AwsSecretBackend, Inner},
    client::Select,
    error::Call,
    events::Event,
    protocol::VersionId,
};

/// The maximum number of generations to follow.
pub(crate) const MAX_HOPS: usize = 8;

/// Time limit for checking a loaded version, which is part of the load.
pub(crate) const FOLLOW_LIMIT: Duration = Duration::from_millis(500);

/// Result of [`AwsSecretBackend::descends`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Descent {
    /// This project wrote every version between the two, each based on the one before.
    Yes,
    /// The chain of versions ends before it reaches the other: a foreign write or a rollback intervened.
    No,
    /// Undecidable: the chain is longer than 8 versions, branches, or contains an expired version.
    Unknown,
}

impl AwsSecretBackend {
    /// Determines whether the version `to` descends from `from` through writes of this project only.
    ///
    /// The IDs of successors are computed from those of their bases, so a descendant within 8 generations is recognized
    /// without a call. Otherwise the chain is followed by version ID, with at most 18 calls.
    ///
    /// # Errors
    /// Those of a load.
    pub async fn descends(&self, from: &Version, to: &Version) -> Result<Descent> {
        self.inner().descends(from, to).await
    }
}

impl Inner {
    async fn descends(&self, from: &Version, to: &Version) -> Result<Descent> {
        if is_near_descendant(from, to) {
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
            // The second slot starts another branch, which may lead there.
            for parent in &chain {
                if self.exists(&parent.slot(2)).await? {
                    return Ok(Descent::Unknown);
                }
            }
            return Ok(Descent::No);
        }
        Ok(Descent::Unknown)
    }

    /// Starts the chain of versions that loads are checked against, with a commit of this backend.
    pub(crate) fn begin_chain(&self, commit: &Version) {
        *self.chain() = Some(commit.clone());
    }

    /// Logs a warning if the loaded version does not descend from this backend's last commit. Most descendants are
    /// recognized without a call.
    pub(crate) async fn follow(&self, loaded: &Version) {
        let Some(known) = self.chain().clone().filter(|_| !loaded.is_no_value()) else { return };
        if !is_near_descendant(&known, loaded) {
            let limit = self.clock.alarm(self.clock.now().saturating_add(FOLLOW_LIMIT));
            if !matches!(
                select(pin!(self.check_lineage(&known, loaded)), limit).await,
                Either::Left((Ok(true), _))
            ) {
                return;
            }
        }
        let mut chain = self.chain();
        // A commit made meanwhile starts another chain.
        if chain.as_ref() == Some(&known) {
            *chain = Some(loaded.clone());
        }
    }

    /// Returns false if the load was stale.
    async fn check_lineage(&self, known: &Version, loaded: &Version) -> Result<bool> {
        let descent = self.descends(known, loaded).await?;
        if !self.confirm(loaded).await? {
            return Ok(false);
        }
        if descent == Descent::No {
            Event::Unrelated { location: &self.location, version: loaded, known }.log();
        }
        Ok(true)
    }

    fn chain(&self) -> MutexGuard<'_, Option<Version>> {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn exists(&self, version: &Version) -> Result<bool> {
        match self.get(Select::Id(version.as_str().to_owned())).await {
            Ok(_) => Ok(true),
            Err(error) if error.is("ResourceNotFoundException") => Ok(false),
            Err(error) => Err(self.failed(Call::Get, error)),
        }
    }
}

/// Returns true for a descendant within a few generations, judging by its ID alone.
fn is_near_descendant(from: &Version, to: &Version) -> bool {
    from == to || from.chain().take(MAX_HOPS).any(|parent| to.is_slot_of(&parent))
}
