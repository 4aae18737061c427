//! Replication to other regions: <https://docs.aws.amazon.com/secretsmanager/latest/userguide/replicate-secrets.html>
//!
//! Regions outside the account are recorded and reported as if they had the replica.

use serde_json::{Value as Json, json};

use super::{
    request::{Request, object},
    secret::{Record, Replica},
};
use crate::{Action, ApiError, Emulator};

impl Emulator {
    pub(super) fn replicate(&self, request: Request<'_>) -> Result<Json, ApiError> {
        let reply = self.change(Action::ReplicateSecretToRegions, request, |secret| {
            secret.writable()?;
            secret.add_replicas(self.region(), &request.structures("AddReplicaRegions"))?;
            Ok(replicas_changed(secret))
        })?;
        self.create_replicas();
        Ok(reply)
    }

    /// Turns a replica into an independent secret.
    pub(super) fn promote(&self, request: Request<'_>) -> Result<Json, ApiError> {
        let mut primary = None;
        let reply = self.change(Action::StopReplicationToReplica, request, |secret| {
            let Some(region) = secret.primary_region.take() else {
                return Err(ApiError::new("InvalidParameterException", "The secret is not a replica."));
            };
            primary = Some((region, secret.name.clone()));
            Ok(json!({ "ARN": secret.arn }))
        })?;
        if let Some((region, name)) = primary
            && let Some(primary) = self.of_region(&region)
            && let Some(secret) = primary.lock_as_is().secrets.iter_mut().find(|secret| secret.name == name)
        {
            secret.replicas.retain(|replica| replica.region != self.region());
        }
        Ok(reply)
    }

    /// Creates the replicas of this region's secrets in other regions. Their values are copied on first access.
    pub(super) fn create_replicas(&self) {
        let secrets = self.lock_as_is().secrets.clone();
        let replicas = secrets.iter().flat_map(|secret| secret.replicas.iter().map(move |to| (secret, to)));
        for (secret, to) in replicas {
            let Some(region) = self.of_region(&to.region) else { continue };
            let mut state = region.lock_as_is();
            if state.secrets.iter().all(|known| known.name != secret.name) {
                let own = format!(":{}:", self.region());
                let arn = secret.arn.replacen(&own, &format!(":{}:", to.region), 1);
                let mut replica = Record::new(&secret.name, arn, secret.created);
                replica.primary_region = Some(self.region().to_owned());
                state.secrets.push(replica);
            }
        }
    }

    /// Updates this region's replicas to the state that their primaries had before the lag. Never holds two locks.
    pub(crate) fn update_replicas(&self) {
        let replica = |secret: &Record| Some((secret.name.clone(), secret.primary_region.clone()?));
        let replicas: Vec<_> = self.lock_as_is().secrets.iter().filter_map(replica).collect();
        for (name, region) in replicas {
            let published = self.of_region(&region).and_then(|primary| {
                let state = primary.lock_as_is();
                let secret = state.secrets.iter().find(|secret| secret.name == name)?;
                let is_source = secret.replicas.iter().any(|replica| replica.region == self.region());
                let age = state.clock.now().saturating_sub(secret.changed);
                (is_source && age >= state.replication_lag).then(|| secret.versions.clone())
            });
            let mut state = self.lock_as_is();
            if let (Some(versions), Ok(secret)) = (published, state.find_mut(&name)) {
                secret.versions = versions;
            }
        }
    }

    pub(super) fn remove_replicas(&self, request: Request<'_>) -> Result<Json, ApiError> {
        let regions = request.texts("RemoveReplicaRegions");
        let mut removed = String::new();
        let reply = self.change(Action::RemoveRegionsFromReplication, request, |secret| {
            secret.writable()?;
            secret.replicas.retain(|replica| !regions.contains(&replica.region));
            removed.clone_from(&secret.name);
            Ok(replicas_changed(secret))
        })?;
        for region in regions.iter().filter_map(|region| self.of_region(region)) {
            let is_replica = |secret: &Record| {
                secret.name == removed && secret.primary_region.as_deref() == Some(self.region())
            };
            region.lock_as_is().secrets.retain(|secret| !is_replica(secret));
        }
        Ok(reply)
    }
}

/// The response to a change of replicas.
fn replicas_changed(secret: &Record) -> Json {
    let status = replication_status(secret, InReply::OfChange);
    object([("ARN", Some(json!(secret.arn))), ("ReplicationStatus", status)])
}

impl Record {
    /// Adds replicas, and replaces those in the same regions.
    pub(super) fn add_replicas(&mut self, own: &str, replicas: &[Request<'_>]) -> Result<(), ApiError> {
        let region = |replica: &Request<'_>| replica.text("Region").unwrap_or_default().to_owned();
        if replicas.iter().any(|replica| region(replica) == own || region(replica).is_empty()) {
            return Err(ApiError::new("InvalidParameterException", "Invalid replica region."));
        }
        for replica in replicas {
            let region = region(replica);
            self.replicas.retain(|present| present.region != region);
            self.replicas.push(Replica { region, kms_key_id: replica.text("KmsKeyId").map(str::to_owned) });
        }
        Ok(())
    }
}

/// The kind of response, which determines the status: when the service responds to a change, replication is still in
/// progress.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum InReply {
    OfChange,
    OfDescription,
}

/// The status of the replicas, if there are any.
pub(super) fn replication_status(secret: &Record, reply: InReply) -> Option<Json> {
    let done = reply == InReply::OfDescription;
    let status = |replica: &Replica| {
        let key = replica.kms_key_id.as_deref().unwrap_or("alias/aws/secretsmanager");
        object([
            ("Region", Some(json!(replica.region))),
            ("KmsKeyId", Some(json!(key))),
            ("Status", Some(json!(if done { "InSync" } else { "InProgress" }))),
            ("StatusMessage", done.then(|| json!("Replication succeeded"))),
        ])
    };
    (!secret.replicas.is_empty()).then(|| secret.replicas.iter().map(status).collect())
}
