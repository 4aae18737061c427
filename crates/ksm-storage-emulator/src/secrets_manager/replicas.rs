//! Replication to other regions. Replicas are recorded, and reported as if they were there at once; an emulator serves one
//! region.

use serde_json::{Value as Json, json};

use super::{
    request::{Request, object},
    secret::{Record, Replica},
};
use crate::{Action, ApiError, Emulator};

impl Emulator {
    pub(super) fn replicate(&self, request: Request<'_>) -> Result<Json, ApiError> {
        self.change(Action::ReplicateSecretToRegions, request, |secret| {
            secret.writable()?;
            secret.add_replicas(self.region(), &request.structures("AddReplicaRegions"))?;
            Ok(replicas_changed(secret))
        })
    }

    pub(super) fn remove_replicas(&self, request: Request<'_>) -> Result<Json, ApiError> {
        let regions = request.texts("RemoveReplicaRegions");
        self.change(Action::RemoveRegionsFromReplication, request, |secret| {
            secret.writable()?;
            secret.replicas.retain(|replica| !regions.contains(&replica.region));
            Ok(replicas_changed(secret))
        })
    }
}

/// The reply to a change of replicas.
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

/// The reply that shows the status: the service has not finished when it answers a change.
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
