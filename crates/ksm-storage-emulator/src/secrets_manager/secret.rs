//! One secret: versions, labels, tokens, dates.

use std::{collections::BTreeSet, time::Duration};

use ksm_storage_core::Payload;

use crate::ApiError;

/// The label of the current version.
pub(crate) const CURRENT: &str = "AWSCURRENT";
/// The label of the version before the current one.
pub(crate) const PREVIOUS: &str = "AWSPREVIOUS";
/// The label of a version that a rotation is preparing.
const PENDING: &str = "AWSPENDING";
/// The largest secret value in bytes (same page as the other quotas).
pub(crate) const MAX_VALUE: usize = 65_536;
/// "Staging labels attached across all versions of a secret":
/// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html>
const MAX_LABELS: usize = 20;
/// Above about this number, versions without a label are removed if they are at least a day old (same page).
pub(crate) const MAX_VERSIONS: usize = 100;
pub(crate) const DAY: Duration = Duration::from_hours(24);

/// The value of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `SecretString`
    Text(Payload),
    /// `SecretBinary`
    Binary(Payload),
}

impl Value {
    pub(crate) fn payload(&self) -> &Payload {
        match self {
            Self::Text(payload) | Self::Binary(payload) => payload,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) id: String,
    pub(crate) value: Value,
    pub(crate) labels: BTreeSet<String>,
    /// Like all dates here, the time since the Unix epoch.
    pub(crate) created: Duration,
    pub(crate) accessed: Option<Duration>,
    pub(crate) kms_key_id: Option<String>,
}

/// A copy in another region.
#[derive(Clone, Debug)]
pub(crate) struct Replica {
    pub(crate) region: String,
    pub(crate) kms_key_id: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) versions: Vec<Version>,
    pub(crate) description: String,
    pub(crate) kms_key_id: Option<String>,
    /// `None` if there never were tags.
    pub(crate) tags: Option<Vec<(String, String)>>,
    pub(crate) policy: Option<String>,
    /// The primary region, if this secret is a replica.
    pub(crate) primary_region: Option<String>,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) created: Duration,
    pub(crate) changed: Duration,
    pub(crate) accessed: Option<Duration>,
    /// The end of the recovery window, if the secret is marked for deletion.
    pub(crate) deletion: Option<Duration>,
}

impl Record {
    /// A secret without a value.
    pub(crate) fn new(name: &str, arn: String, now: Duration) -> Self {
        Self {
            name: name.to_owned(),
            arn,
            versions: Vec::new(),
            description: String::new(),
            kms_key_id: None,
            tags: None,
            policy: None,
            primary_region: None,
            replicas: Vec::new(),
            created: now,
            changed: now,
            accessed: None,
            deletion: None,
        }
    }

    pub(crate) fn version(&self, id: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.id == id)
    }

    pub(crate) fn labelled(&self, label: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.labels.contains(label))
    }

    /// `PutSecretValue`: <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html>
    ///
    /// A known token "succeeds but does nothing" with the same value, and fails with another. Without labels,
    /// `AWSCURRENT` moves to the new version; a secret's first version always receives it. The version that loses
    /// `AWSCURRENT` also loses `AWSPENDING`, but keeps other labels.
    pub(crate) fn put(
        &mut self,
        token: &str,
        value: Value,
        labels: &[String],
        now: Duration,
        quota: Option<usize>,
    ) -> Result<(), ApiError> {
        if self.is_stored(token, &value)? {
            return Ok(());
        }
        let mut wanted: BTreeSet<_> = labels.iter().cloned().collect();
        if wanted.is_empty() || self.versions.is_empty() {
            wanted.insert(CURRENT.to_owned());
        }
        let attached: BTreeSet<_> = self.versions.iter().flat_map(|version| &version.labels).collect();
        if attached.union(&wanted.iter().collect()).count() > MAX_LABELS {
            return Err(ApiError::new("LimitExceededException", "Too many staging labels."));
        }
        if let Some(quota) = quota {
            self.collect(now, quota)?;
        }
        if wanted.contains(CURRENT)
            && let Some(left) = self.versions.iter_mut().find(|version| version.labels.contains(CURRENT))
        {
            left.labels.remove(PENDING);
        }
        self.versions.push(Version {
            id: token.to_owned(),
            value,
            labels: BTreeSet::new(),
            created: now,
            accessed: None,
            kms_key_id: self.kms_key_id.clone(),
        });
        for label in wanted {
            self.attach(&label, token);
        }
        self.changed = now;
        Ok(())
    }

    /// Returns true if this value is already stored under the token.
    ///
    /// # Errors
    /// If another value is stored under it.
    pub(crate) fn is_stored(&self, token: &str, value: &Value) -> Result<bool, ApiError> {
        match self.version(token) {
            None => Ok(false),
            Some(version) if version.value == *value => Ok(true),
            Some(_) => {
                let message = format!(
                    "You can't use ClientRequestToken {token} because that value is already in use for a version of secret {}.",
                    self.arn
                );
                Err(ApiError::new("ResourceExistsException", message))
            }
        }
    }

    /// Makes room for another version, or fails.
    fn collect(&mut self, now: Duration, quota: usize) -> Result<(), ApiError> {
        while self.versions.len() >= quota {
            let old =
                |version: &Version| version.labels.is_empty() && now.saturating_sub(version.created) >= DAY;
            let Some(at) = self.versions.iter().position(old) else {
                let message = "You've reached the limit of versions of this secret.";
                return Err(ApiError::new("LimitExceededException", message));
            };
            self.versions.remove(at);
        }
        Ok(())
    }

    /// Attaches a label, which moves from any other version. `AWSPREVIOUS` follows `AWSCURRENT`.
    fn attach(&mut self, label: &str, id: &str) {
        let left = self.labelled(label).map(|version| version.id.clone());
        for version in &mut self.versions {
            if version.id == id {
                version.labels.insert(label.to_owned());
            } else {
                version.labels.remove(label);
            }
        }
        if let (CURRENT, Some(left)) = (label, left)
            && left != id
        {
            self.attach(PREVIOUS, &left);
        }
    }

    /// `UpdateSecretVersionStage`;
    /// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html>: "If the label
    /// is attached and you either do not specify this parameter, or the version ID does not match, then the operation
    /// fails."
    pub(crate) fn move_label(
        &mut self,
        label: &str,
        to: Option<&str>,
        from: Option<&str>,
    ) -> Result<(), ApiError> {
        let invalid = |message: String| ApiError::new("InvalidParameterException", message);
        let holder = self.labelled(label).map(|version| version.id.as_str());
        match (holder, from) {
            (Some(holder), None) => {
                return Err(invalid(format!(
                    "The parameter RemoveFromVersionId can't be empty. Staging label {label} is currently attached to version {holder}, so you must explicitly reference that version in RemoveFromVersionId."
                )));
            }
            (Some(holder), Some(from)) if holder != from => {
                return Err(invalid(format!(
                    "When you move staging label {label}, if you specify RemoveFromVersionId, it must be set to the version that currently has the staging label {label}."
                )));
            }
            _ => {}
        }
        match to {
            Some(to) if self.version(to).is_none() => Err(ApiError::new(
                "ResourceNotFoundException",
                format!("Secrets Manager can't find the specified secret value for VersionId: {to}"),
            )),
            Some(to) => {
                self.attach(label, to);
                Ok(())
            }
            None if label == CURRENT => Err(invalid("AWSCURRENT can only be moved.".to_owned())),
            None => {
                for version in &mut self.versions {
                    version.labels.remove(label);
                }
                Ok(())
            }
        }
    }
}
