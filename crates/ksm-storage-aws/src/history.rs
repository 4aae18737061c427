//! The versions that the service keeps, and who wrote them.

use std::{cmp::Reverse, collections::HashMap, time::SystemTime};

use ksm_storage_core::{ErrorKind, Payload, Result, Version, strip_nonce};

use crate::{
    backend::AwsSecretBackend,
    client::{ListedVersion, Select},
    error::Call,
    protocol::VersionId,
    slot::{NO_VALUE, is_slot},
};

/// A version of a secret that the service keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptVersion {
    /// Its ID.
    pub version: Version,
    /// The labels attached to it, such as `AWSCURRENT`. A version without any is dropped some time after a day.
    pub labels: Vec<String>,
    /// The time at which it was stored.
    pub created: Option<SystemTime>,
    /// The program that wrote it.
    pub writer: Writer,
}

/// The program that wrote a version, by its ID: this project's writers compute those from the version that they read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writer {
    /// One of this project. `base` is the version that it read and changed; `None` for the first value of the secret.
    Project {
        /// The version that was current when this one was made.
        base: Option<Version>,
    },
    /// Another program: the ID is none that this project gives.
    Foreign,
    /// The ID may be of this project, but the version that it was computed from is not kept any more.
    Unknown,
}

impl AwsSecretBackend {
    /// Returns the versions that the service keeps, the newest first.
    ///
    /// Needs the permission `secretsmanager:ListSecretVersionIds`, and reads no value.
    ///
    /// # Errors
    /// Those of a load.
    pub async fn versions(&self) -> Result<Vec<KeptVersion>> {
        let inner = self.inner();
        let mut listed = match inner.list().await {
            Ok(listed) => listed,
            Err(error) => return Err(inner.failed(Call::List, error)),
        };
        // What is listed last was mostly stored last, and stays so where dates are equal.
        listed.reverse();
        listed.sort_by_key(|version| Reverse(version.created));
        Ok(with_writers(listed))
    }

    /// Returns the content of a version by its ID, whatever its labels.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the service does not keep such a version, and those of a load.
    pub async fn version(&self, version: &Version) -> Result<Payload> {
        let inner = self.inner();
        // What the service requires of an ID.
        if !(32..=64).contains(&version.as_str().len()) {
            return Err(inner
                .error(ErrorKind::InvalidArgument, "a version ID has 32 to 64 characters")
                .with_hint(format!("to see those there are: {}", inner.place().list())));
        }
        match inner.get(Select::Id(version.as_str().to_owned())).await {
            Ok(found) => Ok(strip_nonce(found.value)),
            Err(error) if error.is("ResourceNotFoundException") => {
                let place = inner.place();
                let hint = format!("to see those there are: {}", place.list());
                let message = "the secret does not exist in this region, or keeps no such version";
                Err(inner.error(ErrorKind::NotFound, message).with_hint(hint).with_source(error))
            }
            Err(error) => Err(inner.failed(Call::Get, error)),
        }
    }
}

fn with_writers(listed: Vec<ListedVersion>) -> Vec<KeptVersion> {
    let kept = listed.iter().map(|version| Version::new(version.id.as_str()));
    let bases: HashMap<Version, Version> = kept
        .chain([Version::new(NO_VALUE)])
        .flat_map(|base| (1..=Version::SLOTS).map(move |number| (base.slot(number), base.clone())))
        .collect();
    let kept = |ListedVersion { id, labels, created }| {
        let version = Version::new(id);
        let writer = match bases.get(&version) {
            Some(base) => Writer::Project { base: Some(base.clone()).filter(|base| !base.is_no_value()) },
            None if is_slot(&version) => Writer::Unknown,
            None => Writer::Foreign,
        };
        KeptVersion { version, labels, created, writer }
    };
    listed.into_iter().map(kept).collect()
}
