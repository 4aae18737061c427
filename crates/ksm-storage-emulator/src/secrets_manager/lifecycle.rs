//! The operations that create, change and delete a secret.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{
    replicas::{InReply, replication_status},
    request::{Request, date, object},
    secret::{DAY, Record, Value},
    tags::set_tags,
};
use crate::{Action, ApiError, Emulator, emulator::State};

/// A request of `CreateSecret`.
pub(super) struct Creation<'a> {
    pub(super) name: &'a str,
    pub(super) token: &'a str,
    pub(super) value: Option<Value>,
    pub(super) kms_key_id: Option<&'a str>,
    pub(super) description: &'a str,
    pub(super) tags: Vec<Request<'a>>,
    pub(super) replicas: Vec<Request<'a>>,
}

/// The default number of days in which a deleted secret can be restored.
const RECOVERY_WINDOW: i64 = 30;

impl Emulator {
    pub(super) fn create(&self, creation: Creation<'_>) -> Result<Json, ApiError> {
        let Creation { name, token, value, kms_key_id, description, tags, replicas } = creation;
        let mut state = self.lock();
        state.permit(Action::CreateSecret)?;
        if let Some(secret) = state.secrets.iter().find(|secret| secret.name == name) {
            return repeated(secret, token, value.as_ref());
        }
        let now = state.clock.now();
        let arn = state.new_arn(self.region(), name);
        let mut secret = Record::new(name, arn, now);
        secret.kms_key_id = kms_key_id.filter(|key| !key.is_empty()).map(str::to_owned);
        description.clone_into(&mut secret.description);
        set_tags(&mut secret, &tags);
        secret.add_replicas(self.region(), &replicas)?;
        let version = value.is_some().then(|| json!(token));
        if let Some(value) = value {
            secret.put(token, value, &[], now, None)?;
        }
        let reply = object([
            ("ARN", Some(json!(secret.arn))),
            ("Name", Some(json!(name))),
            ("VersionId", version),
            ("ReplicationStatus", replication_status(&secret, InReply::OfChange)),
        ]);
        state.secrets.push(secret);
        drop(state);
        self.create_replicas();
        Ok(reply)
    }

    pub(super) fn update(&self, request: Request<'_>) -> Result<Json, ApiError> {
        let value = request.value()?;
        // Without a value, there is no version for a token to name.
        let token = if value.is_some() { request.token()? } else { "" };
        let mut state = self.lock();
        state.permit(Action::UpdateSecret)?;
        let (now, quota) = (state.clock.now(), state.version_quota);
        let secret = state.find_mut(request.id())?;
        secret.usable()?;
        secret.writable()?;
        let key_before = secret.kms_key_id.clone();
        if let Some(key) = request.text("KmsKeyId") {
            secret.kms_key_id = (!key.is_empty()).then(|| key.to_owned());
        }
        let version = value.is_some().then(|| json!(token));
        if let Some(value) = value
            && let Err(error) = secret.put(token, value, &[], now, quota)
        {
            secret.kms_key_id = key_before;
            return Err(error);
        }
        if let Some(description) = request.text("Description") {
            description.clone_into(&mut secret.description);
        }
        secret.changed = now;
        let (arn, name) = (Some(json!(secret.arn)), Some(json!(secret.name)));
        Ok(object([("ARN", arn), ("Name", name), ("VersionId", version)]))
    }

    pub(super) fn delete(&self, request: Request<'_>) -> Result<Json, ApiError> {
        let invalid = |message: String| Err(ApiError::new("InvalidParameterException", message));
        let (at_once, window) =
            (request.flag("ForceDeleteWithoutRecovery"), request.number("RecoveryWindowInDays"));
        if window.is_some_and(|days| !(7..=30).contains(&days)) {
            let message = "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).";
            return invalid(message.to_owned());
        }
        if at_once && window.is_some() {
            let message =
                "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.";
            return invalid(message.to_owned());
        }
        let mut state = self.lock();
        state.permit(Action::DeleteSecret)?;
        let now = state.clock.now();
        if at_once && state.find(request.id()).is_err() {
            return Ok(self.delete_missing(&mut state, request.id(), now));
        }
        let secret = state.find_mut(request.id())?;
        secret.writable()?;
        if !secret.replicas.is_empty() {
            let regions: Vec<_> = secret.replicas.iter().map(|replica| replica.region.as_str()).collect();
            let (id, regions) = (request.id(), regions.join(","));
            return invalid(format!(
                "You can't delete secret {id} that still has replica regions [{regions}]"
            ));
        }
        if !at_once {
            secret.usable()?;
        }
        let days = u32::try_from(window.unwrap_or(RECOVERY_WINDOW)).unwrap_or_default();
        let end = if at_once { now } else { now.saturating_add(days * DAY) };
        secret.deletion = Some(end);
        secret.changed = now;
        Ok(json!({ "ARN": secret.arn, "Name": secret.name, "DeletionDate": date(end) }))
    }

    /// Force-deletes a missing secret, which the service reports as deleted.
    fn delete_missing(&self, state: &mut State, id: &str, now: Duration) -> Json {
        let (arn, name) = match id.rsplit_once(":secret:") {
            Some((_, name)) => (id.to_owned(), name),
            None => (state.new_arn(self.region(), id), id),
        };
        json!({ "ARN": arn, "Name": name, "DeletionDate": date(now) })
    }

    pub(super) fn restore(&self, request: Request<'_>) -> Result<Json, ApiError> {
        let mut state = self.lock();
        state.permit(Action::RestoreSecret)?;
        let now = state.clock.now();
        let secret = state.find_mut(request.id())?;
        secret.writable()?;
        secret.deletion = None;
        secret.changed = now;
        Ok(json!({ "ARN": secret.arn, "Name": secret.name }))
    }
}

/// The response to creating a secret that exists. It succeeds with the token and value of an existing version:
/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html>
fn repeated(secret: &Record, token: &str, value: Option<&Value>) -> Result<Json, ApiError> {
    let name = &secret.name;
    if secret.deletion.is_some() {
        let message =
            "You can't create this secret because a secret with this name is already scheduled for deletion.";
        return Err(ApiError::new("InvalidRequestException", message));
    }
    if let Some(value) = value
        && secret.is_stored(token, value)?
    {
        return Ok(json!({ "ARN": secret.arn, "Name": name, "VersionId": token }));
    }
    let message = format!("The operation failed because the secret {name} already exists.");
    Err(ApiError::new("ResourceExistsException", message))
}
