//! Requests and replies of the API in JSON.

use base64::{Engine, engine::general_purpose::STANDARD};
use ksm_storage_aws::Select;
use serde_json::{Value as Json, json};

use super::{
    lifecycle::Creation,
    request::{Request, date},
    secret::{CURRENT, PREVIOUS, Value},
    values::GetResult,
};
use crate::{Action, ApiError, Emulator};

impl Emulator {
    /// Carries out one request.
    pub(crate) fn carry_out(&self, action: Action, request: &Json) -> Result<Json, ApiError> {
        let request = Request::new(action, request)?;
        match action {
            Action::CreateSecret => {
                let creation = Creation {
                    name: request.text("Name").unwrap_or_default(),
                    token: request.token()?,
                    value: request.value()?,
                    kms_key_id: request.text("KmsKeyId"),
                    description: request.text("Description").unwrap_or_default(),
                    tags: request.structures("Tags"),
                    replicas: request.structures("AddReplicaRegions"),
                };
                self.create(creation)
            }
            Action::GetSecretValue => {
                let found = self.get(request.id(), &select(request))?;
                if let Some(stage) = request.text("VersionStage")
                    && !found.version.labels.contains(stage)
                {
                    let message =
                        "You provided a VersionStage that is not associated to the provided VersionId.";
                    return Err(ApiError::new("InvalidRequestException", message));
                }
                let mut answer = version(&found);
                match &found.version.value {
                    Value::Text(payload) => {
                        answer["SecretString"] = String::from_utf8_lossy(payload.as_bytes()).into();
                    }
                    Value::Binary(payload) => {
                        answer["SecretBinary"] = STANDARD.encode(payload.as_bytes()).into();
                    }
                }
                answer["CreatedDate"] = date(found.version.created);
                Ok(answer)
            }
            Action::PutSecretValue => {
                let token = request.token()?;
                let missing = "You must provide either SecretString or SecretBinary.";
                let value =
                    request.value()?.ok_or_else(|| ApiError::new("InvalidRequestException", missing))?;
                Ok(version(&self.put(request.id(), token, value, &request.texts("VersionStages"))?))
            }
            Action::UpdateSecretVersionStage => {
                let (to, from) = (request.text("MoveToVersionId"), request.text("RemoveFromVersionId"));
                let stage = request.text("VersionStage").unwrap_or_default();
                let (arn, name) = self.move_label(request.id(), stage, to, from)?;
                Ok(json!({ "ARN": arn, "Name": name }))
            }
            Action::DescribeSecret => Ok(self.describe(request.id())?.description(self.region())),
            Action::DeleteSecret => self.delete(request),
            Action::ListSecretVersionIds => self.list_versions(request),
            Action::ListSecrets => self.list(request),
            Action::RestoreSecret => self.restore(request),
            Action::UpdateSecret => self.update(request),
            Action::TagResource => self.tag(request),
            Action::UntagResource => self.untag(request),
            Action::PutResourcePolicy => self.put_policy(request),
            Action::GetResourcePolicy => self.policy(request),
            Action::DeleteResourcePolicy => self.delete_policy(request),
            Action::ValidateResourcePolicy => self.validate_policy(request),
            Action::ReplicateSecretToRegions => self.replicate(request),
            Action::RemoveRegionsFromReplication => self.remove_replicas(request),
            Action::StopReplicationToReplica => self.promote(request),
            _ => Err(ApiError::new("UnknownOperationException", "")),
        }
    }
}

fn select(request: Request<'_>) -> Select {
    match (request.text("VersionId"), request.text("VersionStage")) {
        (Some(id), _) => Select::Id(id.to_owned()),
        (None, Some(PREVIOUS)) => Select::Previous,
        (None, None | Some(CURRENT)) => Select::Current,
        (None, Some(label)) => Select::Label(label.to_owned()),
    }
}

fn version(found: &GetResult) -> Json {
    let mut answer = json!({ "ARN": found.arn, "Name": found.name, "VersionId": found.version.id });
    // A version without labels lacks the list; it is not empty.
    if !found.version.labels.is_empty() {
        answer["VersionStages"] = json!(found.version.labels);
    }
    answer
}
