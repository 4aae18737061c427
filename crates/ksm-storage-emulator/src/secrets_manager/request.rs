//! JSON requests that satisfy the API model, and parts of responses.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use ksm_storage_core::Payload;
use serde_json::Value as Json;

use super::{secret::Value, validate::validate};
use crate::{Action, ApiError};

/// A request that satisfies the model.
#[derive(Clone, Copy)]
pub(super) struct Request<'a>(&'a Json);

impl<'a> Request<'a> {
    pub(super) fn new(action: Action, request: &'a Json) -> Result<Self, ApiError> {
        validate(action, request)?;
        Ok(Self(request))
    }

    /// The name or ARN of the secret.
    pub(super) fn id(self) -> &'a str {
        self.text("SecretId").unwrap_or_default()
    }

    pub(super) fn text(self, member: &str) -> Option<&'a str> {
        self.0.get(member)?.as_str()
    }

    pub(super) fn flag(self, member: &str) -> bool {
        self.0.get(member).and_then(Json::as_bool) == Some(true)
    }

    pub(super) fn number(self, member: &str) -> Option<i64> {
        self.0.get(member)?.as_i64()
    }

    pub(super) fn texts(self, member: &str) -> Vec<String> {
        let texts = self.0.get(member).and_then(Json::as_array).into_iter().flatten();
        texts.filter_map(Json::as_str).map(str::to_owned).collect()
    }

    /// The structures in a list member.
    pub(super) fn structures(self, member: &str) -> Vec<Self> {
        self.0.get(member).and_then(Json::as_array).into_iter().flatten().map(Self).collect()
    }

    pub(super) fn token(self) -> Result<&'a str, ApiError> {
        let missing = "You must provide a ClientRequestToken value. We recommend a UUID-type value.";
        self.text("ClientRequestToken").ok_or_else(|| ApiError::new("InvalidRequestException", missing))
    }

    /// The text or the binary value, but not both:
    /// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html>
    pub(super) fn value(self) -> Result<Option<Value>, ApiError> {
        match (self.text("SecretString"), self.text("SecretBinary")) {
            (Some(text), None) => Ok(Some(Value::Text(text.into()))),
            (None, Some(text)) => {
                let bytes = STANDARD.decode(text).unwrap_or_default();
                Ok(Some(Value::Binary(Payload::from(bytes))))
            }
            (None, None) => Ok(None),
            (Some(_), Some(_)) => {
                let message = "You can't specify both a binary secret value and a string secret value.";
                Err(ApiError::new("InvalidParameterException", message))
            }
        }
    }
}

/// A date in the service's format: seconds since the Unix epoch, with millisecond precision.
pub(super) fn date(time: Duration) -> Json {
    (Duration::from_millis(time.as_millis().try_into().unwrap_or(u64::MAX)).as_secs_f64()).into()
}

/// An object that contains only the members with a value.
pub(super) fn object<const N: usize>(members: [(&str, Option<Json>); N]) -> Json {
    let present = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Json::Object(present.collect())
}
