//! Implements the client interface in process.

use std::{borrow::Cow, time::UNIX_EPOCH};

use async_trait::async_trait;
use ksm_storage_aws::{
    CallError, Create, Failure, ListedVersion, MoveCurrent, Put, PutReply, SecretVersion, SecretsClient,
    Select, VersionList,
};
use ksm_storage_core::Payload;
use serde_json::{Value as Json, json};

use super::{
    secret::{CURRENT, PREVIOUS, Value, Version},
    validate::validate,
};
use crate::{Action, ApiError, Emulator, Fault, ResponseFault};

impl Emulator {
    /// Makes a call with its fault, if any. The request is checked as if it came over HTTP.
    async fn call<T>(
        &self,
        action: Action,
        request: &Json,
        carry_out: impl FnOnce() -> Result<T, ApiError>,
    ) -> Result<T, CallError> {
        let carry_out = || {
            validate(action, request)?;
            carry_out()
        };
        // A real call yields at least once.
        tokio::task::yield_now().await;
        let answer =
            |result: Result<T, ApiError>| result.map_err(|error| CallError::answered(400, error.code));
        match self.begin(action) {
            None => answer(carry_out()),
            Some(Fault::Refuse(code)) => Err(CallError::answered(400, code)),
            Some(Fault::Before(fault)) => Err(damaged(fault)),
            Some(Fault::After(fault)) => {
                let _ = carry_out();
                Err(damaged(fault))
            }
            Some(Fault::Delay(time)) => {
                tokio::time::sleep(time).await;
                answer(carry_out())
            }
        }
    }
}

/// The error of a client that receives such a response. A client that would wait forever has timed out.
fn damaged(fault: ResponseFault) -> CallError {
    match fault {
        ResponseFault::Reset => CallError::new(Failure::Disconnected),
        ResponseFault::Hang | ResponseFault::Slow => CallError::new(Failure::TimedOut),
        ResponseFault::Status(status) => CallError::answered(status, "InternalServiceError"),
        ResponseFault::Truncated | ResponseFault::Malformed => CallError::new(Failure::Unreadable),
    }
}

#[async_trait]
impl SecretsClient for Emulator {
    async fn get(&self, secret: &str, version: &Select) -> Result<SecretVersion, CallError> {
        let request = match version {
            Select::Current => json!({ "SecretId": secret, "VersionStage": CURRENT }),
            Select::Previous => json!({ "SecretId": secret, "VersionStage": PREVIOUS }),
            Select::Label(label) => json!({ "SecretId": secret, "VersionStage": label }),
            Select::Id(id) => json!({ "SecretId": secret, "VersionId": id }),
        };
        let found = self.call(Action::GetSecretValue, &request, || self.get(secret, version)).await?;
        Ok(SecretVersion {
            arn: found.arn,
            id: found.version.id,
            labels: found.version.labels.into_iter().collect(),
            value: found.version.value.payload().clone(),
        })
    }

    async fn put(&self, put: &Put) -> Result<PutReply, CallError> {
        let labels: Vec<_> = put.label.iter().map(|&label| label.to_owned()).collect();
        let request = json!({
            "SecretId": put.secret, "ClientRequestToken": put.token, "SecretString": as_long_as(&put.value),
            "VersionStages": put.label.map(|label| [label]),
        });
        let carry_out = || self.put(&put.secret, &put.token, Value::Text(put.value.clone()), &labels);
        let found = self.call(Action::PutSecretValue, &request, carry_out).await?;
        Ok(PutReply { id: found.version.id, labels: found.version.labels.into_iter().collect() })
    }

    async fn create(&self, create: &Create) -> Result<(), CallError> {
        let request = json!({
            "Name": create.name, "ClientRequestToken": create.token, "SecretString": text(&create.value),
            "KmsKeyId": create.kms_key_id,
        });
        let carry_out = || self.carry_out(Action::CreateSecret, &request);
        self.call(Action::CreateSecret, &request, carry_out).await?;
        Ok(())
    }

    async fn move_current(&self, request: &MoveCurrent) -> Result<(), CallError> {
        let MoveCurrent { secret, to, from } = request;
        let request = json!({
            "SecretId": secret, "VersionStage": CURRENT, "MoveToVersionId": to, "RemoveFromVersionId": from,
        });
        let carry_out = || self.move_label(secret, CURRENT, Some(to), Some(from));
        self.call(Action::UpdateSecretVersionStage, &request, carry_out).await?;
        Ok(())
    }

    async fn primary_region(&self, secret: &str) -> Result<Option<String>, CallError> {
        let request = json!({ "SecretId": secret });
        let record = self.call(Action::DescribeSecret, &request, || self.describe(secret)).await?;
        Ok(record.primary_region(self.region()))
    }

    async fn versions(&self, secret: &str) -> Result<VersionList, CallError> {
        let request = json!({ "SecretId": secret, "IncludeDeprecated": true });
        let carry_out = || self.kept(secret);
        let record = self.call(Action::ListSecretVersionIds, &request, carry_out).await?;
        let listed = |version: Version| ListedVersion {
            id: version.id,
            labels: version.labels.into_iter().collect(),
            created: UNIX_EPOCH.checked_add(version.created),
        };
        Ok(VersionList { arn: record.arn, versions: record.versions.into_iter().map(listed).collect() })
    }
}

/// A placeholder of the same length as the value, for validation without copying the value.
fn as_long_as(value: &Payload) -> String {
    "x".repeat(value.len())
}

/// The value in the form of a request.
fn text(value: &Payload) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}
