//! Requests and replies of the API in JSON.

use base64::{Engine, engine::general_purpose::STANDARD};
use ksm_storage_aws::Select;
use ksm_storage_core::Payload;
use serde_json::{Value as Json, json};

use super::{
    operations::{Deletion, GetResult},
    secret::{CURRENT, PREVIOUS, Value},
};
use crate::{Action, ApiError, Emulator};

impl Emulator {
    /// Carries out one request.
    pub(crate) fn carry_out(&self, action: Action, request: &Json) -> Result<Json, ApiError> {
        let id = || required(request, "SecretId");
        match action {
            Action::GetSecretValue => {
                let found = self.get(id()?, &select(request))?;
                if let Some(stage) = text(request, "VersionStage")
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
                answer["CreatedDate"] = 1.7e9.into();
                Ok(answer)
            }
            Action::PutSecretValue => {
                let labels: Vec<String> = match request.get("VersionStages").and_then(Json::as_array) {
                    Some(labels) => labels.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
                    None => Vec::new(),
                };
                let missing = "You must provide either SecretString or SecretBinary.";
                let value =
                    value(request)?.ok_or_else(|| ApiError::new("InvalidRequestException", missing))?;
                Ok(version(&self.put(id()?, token(request)?, value, &labels)?))
            }
            Action::CreateSecret => {
                let name = required(request, "Name")?;
                let (arn, version) =
                    self.create(name, token(request)?, value(request)?, text(request, "KmsKeyId"))?;
                let mut answer = json!({ "ARN": arn, "Name": name });
                if let Some(version) = version {
                    answer["VersionId"] = version.into();
                }
                Ok(answer)
            }
            Action::UpdateSecretVersionStage => {
                let (to, from) = (text(request, "MoveToVersionId"), text(request, "RemoveFromVersionId"));
                let (arn, name) = self.move_label(id()?, required(request, "VersionStage")?, to, from)?;
                Ok(json!({ "ARN": arn, "Name": name }))
            }
            Action::DescribeSecret => {
                let record = self.describe(id()?)?;
                let stages: serde_json::Map<_, _> = record
                    .versions
                    .iter()
                    .filter(|version| !version.labels.is_empty())
                    .map(|version| (version.id.clone(), json!(version.labels)))
                    .collect();
                let mut answer =
                    json!({ "ARN": record.arn, "Name": record.name, "VersionIdsToStages": stages });
                if let Some(key) = record.kms_key_id {
                    answer["KmsKeyId"] = key.into();
                }
                if let Some(region) = record.primary_region {
                    answer["PrimaryRegion"] = region.into();
                }
                Ok(answer)
            }
            Action::DeleteSecret => {
                let at_once = request.get("ForceDeleteWithoutRecovery").and_then(Json::as_bool) == Some(true);
                let how = if at_once { Deletion::AtOnce } else { Deletion::Recoverable };
                let (arn, name) = self.delete(id()?, how)?;
                Ok(json!({ "ARN": arn, "Name": name, "DeletionDate": 1.7e9 }))
            }
            Action::RestoreSecret => {
                let (arn, name) = self.delete(id()?, Deletion::Restore)?;
                Ok(json!({ "ARN": arn, "Name": name }))
            }
            _ => Err(ApiError::new("UnknownOperationException", "")),
        }
    }
}

fn select(request: &Json) -> Select {
    match (text(request, "VersionId"), text(request, "VersionStage")) {
        (Some(id), _) => Select::Id(id.to_owned()),
        (None, Some(PREVIOUS)) => Select::Previous,
        (None, None | Some(CURRENT)) => Select::Current,
        (None, Some(label)) => Select::Label(label.to_owned()),
    }
}

fn version(found: &GetResult) -> Json {
    let mut answer = json!({ "ARN": found.arn, "Name": found.name, "VersionId": found.version.id });
    // A version without labels has no list of them, not an empty one.
    if !found.version.labels.is_empty() {
        answer["VersionStages"] = json!(found.version.labels);
    }
    answer
}

fn text<'a>(request: &'a Json, name: &str) -> Option<&'a str> {
    request.get(name)?.as_str()
}

fn required<'a>(request: &'a Json, name: &str) -> Result<&'a str, ApiError> {
    text(request, name)
        .ok_or_else(|| ApiError::new("ValidationException", format!("{name} must not be null")))
}

fn token(request: &Json) -> Result<&str, ApiError> {
    let missing = "You must provide a ClientRequestToken value. We recommend a UUID-type value.";
    text(request, "ClientRequestToken").ok_or_else(|| ApiError::new("InvalidRequestException", missing))
}

/// Exactly one of the two, or none:
/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html>
fn value(request: &Json) -> Result<Option<Value>, ApiError> {
    match (text(request, "SecretString"), text(request, "SecretBinary")) {
        (Some(text), None) => Ok(Some(Value::Text(text.into()))),
        (None, Some(text)) => {
            let bytes = STANDARD
                .decode(text)
                .map_err(|_| ApiError::new("SerializationException", "SecretBinary is not base64"))?;
            Ok(Some(Value::Binary(Payload::from(bytes))))
        }
        (None, None) => Ok(None),
        (Some(_), Some(_)) => {
            let message = "You can't specify both a binary secret value and a string secret value.";
            Err(ApiError::new("InvalidParameterException", message))
        }
    }
}
