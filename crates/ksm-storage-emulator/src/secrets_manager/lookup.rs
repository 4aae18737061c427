//! Looks up secrets by name or ARN, and checks the state that an operation requires.

use serde_json::Value as Json;

use crate::{
    Action, ApiError, Emulator,
    emulator::{ACCOUNT, State},
};

use super::{request::Request, secret::Record};

/// The length of the suffix in an ARN: a hyphen and six characters.
const SUFFIX: usize = 7;

fn ends_in_suffix(arn: &str) -> bool {
    let suffix = arn.as_bytes().last_chunk::<SUFFIX>();
    suffix.is_some_and(|[hyphen, rest @ ..]| *hyphen == b'-' && rest.iter().all(u8::is_ascii_alphanumeric))
}

impl Record {
    /// Checks that the secret is not scheduled for deletion:
    /// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html>
    pub(super) fn usable(&self) -> Result<(), ApiError> {
        if self.deletion.is_some() {
            let message =
                "You can't perform this operation on the secret because it was marked for deletion.";
            return Err(ApiError::new("InvalidRequestException", message));
        }
        Ok(())
    }

    /// Checks that the secret is not a replica, which can only be read:
    /// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/replicate-secrets.html>
    pub(super) fn writable(&self) -> Result<(), ApiError> {
        if self.primary_region.is_some() {
            let message =
                "Operation not permitted on a replica secret. Call must be made in primary secret's region.";
            return Err(ApiError::new("InvalidParameterException", message));
        }
        Ok(())
    }
}

impl State {
    /// Finds a secret by name, full ARN, or ARN without the suffix. An ARN that seems to end in a suffix counts as a
    /// full one: <https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html#ARN_secretnamehyphen>
    fn position(&self, id: &str) -> Result<usize, ApiError> {
        let is_partial = id.starts_with("arn:") && !ends_in_suffix(id);
        let is = |secret: &Record| {
            secret.name == id
                || secret.arn == id
                || (is_partial && secret.arn.len() == id.len() + SUFFIX && secret.arn.starts_with(id))
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

    /// Creates an ARN whose suffix no other secret of this emulator has had.
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

impl Emulator {
    /// Changes the metadata of a secret, and records the time of the change.
    pub(super) fn change(
        &self,
        action: Action,
        request: Request<'_>,
        change: impl FnOnce(&mut Record) -> Result<Json, ApiError>,
    ) -> Result<Json, ApiError> {
        let mut state = self.lock();
        state.permit(action)?;
        let now = state.clock.now();
        let secret = state.find_mut(request.id())?;
        secret.usable()?;
        let reply = change(secret)?;
        secret.changed = now;
        Ok(reply)
    }
}
