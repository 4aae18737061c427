//! The versions that the service keeps, and their writers.

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
    /// The version ID.
    pub version: Version,
    /// The labels attached to it, such as `AWSCURRENT`. The service may remove a version without labels once
    /// it is a day old.
    pub labels: Vec<String>,
    /// The time at which it was stored.
    pub created: Option<SystemTime>,
    /// The program that wrote it.
    pub writer: Writer,
}

/// The writer of a version, judging by its ID: this project computes IDs from the version that a write is based on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writer {
    /// This project. `base` is the version that the write was based on; `None` for the first value of the secret.
    Project {
        /// The version that the write was based on.
        base: Option<Version>,
    },
    /// Another program: the ID does not have the form of this project's IDs.
    Foreign,
    /// Possibly this project, but the version that the ID was computed from is no longer kept.
    Unknown,
}

impl AwsSecretBackend {
    /// Returns the versions that the service keeps, newest first.
    ///
    /// Requires the permission `secretsmanager:ListSecretVersionIds`, and reads no values.
    ///
    /// # Errors
    /// Those of a load.
    pub async fn versions(&self) -> Result<Vec<KeptVersion>> {
        let inner = self.inner();
        let mut listed = match inner.list().await {
            Ok(listed) => listed,
            Err(error) => return Err(inner.failed(Call::List, error)),
        };
        // The service mostly lists versions in the order in which they were stored, which is kept for equal dates.
        listed.reverse();
        listed.sort_by_key(|version| Reverse(version.created));
        Ok(with_writers(listed))
    }

    /// Returns the content of the version with this ID, regardless of its labels.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the service does not keep this version, and those of a load.
    pub async fn version(&self, version: &Version) -> Result<Payload> {
        let inner = self.inner();
        // The service's constraint on IDs.
        if !(32..=64).contains(&version.as_str().len()) {
            return Err(inner
                .error(ErrorKind::InvalidArgument, "a version ID has 32 to 64 characters")
                .with_hint(format!("to list the existing versions: {}", inner.place().list())));
        }
        match inner.get(Select::Id(version.as_str().to_owned())).await {
            Ok(found) => Ok(strip_nonce(found.value)),
            Err(error) if error.is("ResourceNotFoundException") => {
                let place = inner.place();
                let hint = format!("to list the existing versions: {}", place.list());
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
