//! The operations on versions.

use ksm_storage_aws::Select;
use serde_json::{Value as Json, json};

use super::{
    list::page,
    request::{Request, date, object},
    secret::{CURRENT, PREVIOUS, Record, Value, Version},
};
use crate::{Action, ApiError, Emulator};

/// A version of a secret, with the secret's name and ARN.
pub(crate) struct GetResult {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) version: Version,
}

impl Emulator {
    pub(crate) fn get(&self, id: &str, select: &Select) -> Result<GetResult, ApiError> {
        let mut state = self.lock();
        state.permit(Action::GetSecretValue)?;
        let lags = *select == Select::Current && state.stale_reads > 0;
        if lags {
            state.stale_reads -= 1;
        }
        let now = state.clock.now();
        let secret = state.find_mut(id)?;
        secret.usable()?;
        let version = match select {
            Select::Current if lags => secret.labelled(PREVIOUS).or_else(|| secret.labelled(CURRENT)),
            Select::Current => secret.labelled(CURRENT),
            Select::Previous => secret.labelled(PREVIOUS),
            Select::Label(label) => secret.labelled(label),
            Select::Id(id) => secret.version(id),
        };
        let wanted = match select {
            Select::Current => format!("staging label: {CURRENT}"),
            Select::Previous => format!("staging label: {PREVIOUS}"),
            Select::Label(label) => format!("staging label: {label}"),
            Select::Id(id) => format!("VersionId: {id}"),
        };
        let missing = || {
            let message = format!("Secrets Manager can't find the specified secret value for {wanted}");
            ApiError::new("ResourceNotFoundException", message)
        };
        let version = version.cloned().ok_or_else(missing)?;
        secret.access(&version.id, now);
        Ok(GetResult { arn: secret.arn.clone(), name: secret.name.clone(), version })
    }

    pub(crate) fn put(
        &self,
        id: &str,
        token: &str,
        value: Value,
        labels: &[String],
    ) -> Result<GetResult, ApiError> {
        let mut state = self.lock();
        state.permit(Action::PutSecretValue)?;
        let (now, quota) = (state.clock.now(), state.version_quota);
        let secret = state.find_mut(id)?;
        secret.usable()?;
        secret.writable()?;
        secret.put(token, value, labels, now, quota)?;
        let missing = || ApiError::new("InternalServiceError", "the version is not there");
        let version = secret.version(token).cloned().ok_or_else(missing)?;
        Ok(GetResult { arn: secret.arn.clone(), name: secret.name.clone(), version })
    }

    pub(crate) fn move_label(
        &self,
        id: &str,
        label: &str,
        to: Option<&str>,
        from: Option<&str>,
    ) -> Result<(String, String), ApiError> {
        let mut state = self.lock();
        state.permit(Action::UpdateSecretVersionStage)?;
        let now = state.clock.now();
        let secret = state.find_mut(id)?;
        secret.usable()?;
        secret.writable()?;
        secret.move_label(label, to, from)?;
        secret.changed = now;
        Ok((secret.arn.clone(), secret.name.clone()))
    }

    /// The secret, for listing its versions.
    pub(super) fn kept(&self, id: &str) -> Result<Record, ApiError> {
        let state = self.lock();
        state.permit(Action::ListSecretVersionIds)?;
        state.find(id).cloned()
    }

    pub(super) fn list_versions(&self, request: Request<'_>) -> Result<Json, ApiError> {
        let secret = self.kept(request.id())?;
        let deprecated = request.flag("IncludeDeprecated");
        let listed = secret.versions.iter().filter(|version| deprecated || !version.labels.is_empty());
        let (versions, next) = page(request, &listed.map(entry).collect::<Vec<_>>())?;
        let (arn, name) = (&secret.arn, &secret.name);
        Ok(object([
            ("ARN", Some(json!(arn))),
            ("Name", Some(json!(name))),
            ("Versions", Some(versions)),
            ("NextToken", next),
        ]))
    }
}

/// A version as shown by `ListSecretVersionIds`.
fn entry(version: &Version) -> Json {
    let key = version.kms_key_id.as_deref().unwrap_or("DefaultEncryptionKey");
    object([
        ("VersionId", Some(json!(version.id))),
        ("VersionStages", (!version.labels.is_empty()).then(|| json!(version.labels))),
        ("CreatedDate", Some(date(version.created))),
        ("LastAccessedDate", version.accessed.map(date)),
        ("KmsKeyIds", Some(json!([key]))),
    ])
}
