//! The operations of the service on the secrets of a region.

use ksm_storage_aws::Select;

use super::secret::{CURRENT, MAX_VALUE, PREVIOUS, Record, Value, Version};
use crate::{
    Action, ApiError, Emulator,
    emulator::{ACCOUNT, State},
};

/// One version of a secret, with the names of the secret.
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
        let secret = state.find(id)?;
        secret.usable()?;
        let version = match select {
            Select::Current if lags => secret.labelled(PREVIOUS).or_else(|| secret.labelled(CURRENT)),
            Select::Current => secret.labelled(CURRENT),
            Select::Previous => secret.labelled(PREVIOUS),
            Select::Label(label) => secret.labelled(label),
            Select::Id(id) => secret.version(id),
        };
        let missing = "Secrets Manager can't find the specified secret value for staging label or version.";
        let version = version.ok_or_else(|| ApiError::new("ResourceNotFoundException", missing))?;
        Ok(GetResult { arn: secret.arn.clone(), name: secret.name.clone(), version: version.clone() })
    }

    pub(crate) fn put(
        &self,
        id: &str,
        token: &str,
        value: Value,
        labels: &[String],
    ) -> Result<GetResult, ApiError> {
        check_token(token)?;
        check_value(&value)?;
        let mut state = self.lock();
        state.permit(Action::PutSecretValue)?;
        let (now, quota) = (state.now, state.version_quota);
        let secret = state.find_mut(id)?;
        secret.usable()?;
        secret.writable()?;
        secret.put(token, value, labels, now, quota)?;
        let missing = || ApiError::new("InternalServiceError", "the version is not there");
        let version = secret.version(token).cloned().ok_or_else(missing)?;
        Ok(GetResult { arn: secret.arn.clone(), name: secret.name.clone(), version })
    }

    pub(crate) fn create(
        &self,
        name: &str,
        token: &str,
        value: Option<Value>,
        kms_key_id: Option<&str>,
    ) -> Result<(String, Option<String>), ApiError> {
        check_token(token)?;
        if let Some(value) = &value {
            check_value(value)?;
        }
        let mut state = self.lock();
        state.permit(Action::CreateSecret)?;
        if let Some(secret) = state.secrets.iter().find(|secret| secret.name == name) {
            secret.usable()?;
            // Repeated with its token and value, the call succeeds:
            // https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
            if let (Some(version), Some(value)) = (secret.version(token), &value)
                && version.value == *value
            {
                return Ok((secret.arn.clone(), Some(token.to_owned())));
            }
            let message = format!("The operation failed because the secret {name} already exists.");
            return Err(ApiError::new("ResourceExistsException", message));
        }
        let arn = state.new_arn(self.region(), name);
        let mut secret = Record::new(name, arn.clone());
        secret.kms_key_id = kms_key_id.map(str::to_owned);
        let id = match value {
            Some(value) => {
                secret.put(token, value, &[], state.now, None)?;
                Some(token.to_owned())
            }
            None => None,
        };
        state.secrets.push(secret);
        Ok((arn, id))
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
        let secret = state.find_mut(id)?;
        secret.usable()?;
        secret.writable()?;
        secret.move_label(label, to, from)?;
        Ok((secret.arn.clone(), secret.name.clone()))
    }

    pub(crate) fn describe(&self, id: &str) -> Result<Record, ApiError> {
        let state = self.lock();
        state.permit(Action::DescribeSecret)?;
        state.find(id).cloned()
    }

    /// `DeleteSecret` and `RestoreSecret`: marks the secret, or takes the mark away, or forgets it at once.
    pub(crate) fn delete(&self, id: &str, how: Deletion) -> Result<(String, String), ApiError> {
        let action = if how == Deletion::Restore { Action::RestoreSecret } else { Action::DeleteSecret };
        let mut state = self.lock();
        state.permit(action)?;
        let secret = state.find_mut(id)?;
        let names = (secret.arn.clone(), secret.name.clone());
        secret.marked_for_deletion = how == Deletion::Recoverable;
        if how == Deletion::AtOnce {
            state.secrets.retain(|secret| secret.arn != names.0);
        }
        Ok(names)
    }
}

/// The variants of `DeleteSecret`, and `RestoreSecret`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deletion {
    Recoverable,
    AtOnce,
    Restore,
}

impl Record {
    /// Until it is restored:
    /// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html>
    fn usable(&self) -> Result<(), ApiError> {
        if self.marked_for_deletion {
            let message =
                "You can't perform this operation on the secret because it was marked for deletion.";
            return Err(ApiError::new("InvalidRequestException", message));
        }
        Ok(())
    }

    /// A replica can be read, and is changed by its primary only:
    /// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/replicate-secrets.html>
    fn writable(&self) -> Result<(), ApiError> {
        if self.primary_region.is_some() {
            let message =
                "Operation not permitted on a replica secret. Call must be made in primary secret's region.";
            return Err(ApiError::new("InvalidParameterException", message));
        }
        Ok(())
    }
}

impl State {
    /// By name, full ARN, or ARN without the suffix:
    /// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html#ARN_secretnamehyphen>
    fn position(&self, id: &str) -> Result<usize, ApiError> {
        let is = |secret: &Record| {
            secret.name == id
                || secret.arn == id
                || (id.starts_with("arn:") && secret.arn.len() == id.len() + 7 && secret.arn.starts_with(id))
        };
        let missing = "Secrets Manager can't find the specified secret.";
        self.secrets.iter().position(is).ok_or_else(|| ApiError::new("ResourceNotFoundException", missing))
    }

    pub(super) fn find(&self, id: &str) -> Result<&Record, ApiError> {
        self.position(id).map(|at| &self.secrets[at])
    }

    pub(super) fn find_mut(&mut self, id: &str) -> Result<&mut Record, ApiError> {
        self.position(id).map(|at| &mut self.secrets[at])
    }

    /// With a suffix that no other secret of this emulator has had.
    pub(super) fn new_arn(&mut self, region: &str, name: &str) -> String {
        let partition = match region {
            _ if region.starts_with("cn-") => "aws-cn",
            _ if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        let serial = self.next();
        format!("arn:{partition}:secretsmanager:{region}:{ACCOUNT}:secret:{name}-E{serial:05}")
    }
}

/// "Length Constraints: Minimum length of 32. Maximum length of 64.", and no pattern:
/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html>
fn check_token(token: &str) -> Result<(), ApiError> {
    if (32..=64).contains(&token.len()) {
        return Ok(());
    }
    let message = "ClientRequestToken must be 32-64 characters long.";
    Err(ApiError::new("InvalidParameterException", message))
}

/// From 1 to 65,536 bytes (same page).
fn check_value(value: &Value) -> Result<(), ApiError> {
    if (1..=MAX_VALUE).contains(&value.payload().len()) {
        return Ok(());
    }
    Err(ApiError::new("InvalidParameterException", "The secret value must be 1 to 65536 bytes long."))
}
