//! Messages for failed calls, by cause.

use std::{error, time::SystemTime};

use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::{DateTime, date_time::Format};
use ksm_storage_core::ErrorKind;

use crate::{
    cause::{Cause, denial, is_skewed},
    client::{CallError, Failure},
    environment::Environment,
    explained::SourceFailed,
    trace::Trace,
};

/// A call that was not made because its credentials failed.
pub(crate) fn of_source(failed: &SourceFailed) -> CallError {
    let message = failed.to_string();
    let failure = match failed.cause.kind() {
        ErrorKind::Timeout => Failure::TimedOut,
        ErrorKind::Unavailable => Failure::Disconnected,
        ErrorKind::InvalidArgument => Failure::NotBuilt(message.clone().into()),
        ErrorKind::Unexpected => Failure::Untrusted,
        _ => Failure::NoCredentials(message.clone().into()),
    };
    CallError {
        message: Some(message.into()),
        hint: failed.hint.clone().map(Into::into),
        ..CallError::new(failure)
    }
}

/// A call that was not made because a source of credentials that has no name took too long.
pub(crate) fn slow_source() -> CallError {
    CallError {
        message: Some(Cause::Slow.words().into()),
        hint: Some(
            "check whether it provides credentials to other programs: aws sts get-caller-identity".into(),
        ),
        ..CallError::new(Failure::TimedOut)
    }
}

/// A call that got no reply.
pub(crate) fn of_connection(
    error: &(dyn error::Error + 'static),
    failure: Failure,
    trace: &Trace,
) -> CallError {
    let Some(cause) = Cause::of_connection(error) else { return CallError::new(failure) };
    let peer = trace.peer();
    let message = match &peer {
        Some(peer) => format!("{peer}: {}", cause.words()),
        None => cause.words().to_owned(),
    };
    let failure = match failure {
        _ if cause == Cause::ProxyLogin => Failure::NotBuilt(message.clone().into()),
        _ if cause.is_distrust() => Failure::Untrusted,
        failure => failure,
    };
    let hint = cause.connection_hint(peer.as_ref(), Environment::PROCESS);
    CallError { message: Some(message.into()), hint: Some(hint.into()), ..CallError::new(failure) }
}

/// The part of the service's message that names the principal and the denied action.
pub(crate) fn said(message: &str) -> Option<String> {
    let refusal = match denial(message) {
        None if is_of_key(message) => "access to the KMS key is not allowed".to_owned(),
        refusal => refusal?,
    };
    Some(format!("the service answered that {refusal}:"))
}

/// The remedy if the KMS key caused a refusal that has one of the service's own codes.
pub(crate) fn key_hint(message: &str) -> Option<&'static str> {
    is_of_key(message).then_some(
        "grant kms:Decrypt on the secret's KMS key, and kms:GenerateDataKey to write, in the role's policy and in the \
         key's, and check that the key is enabled",
    )
}

fn is_of_key(message: &str) -> bool {
    message.contains("Access to KMS is not allowed")
}

/// The message for a reply that rejects the time of a request. The reply's `Date` header shows the clock skew.
pub(crate) fn skew<E>(error: &SdkError<E, HttpResponse>) -> Option<String>
where
    E: ProvideErrorMetadata,
{
    /// AWS tolerates five minutes of skew, part of which the request may have spent in transit.
    const ALLOWED: u64 = 240;
    let code = error.code().unwrap_or_default();
    let is_signature = matches!(code, "SignatureDoesNotMatch" | "InvalidSignatureException" | "AuthFailure");
    let is_told = is_skewed(code, error.message().unwrap_or_default());
    if !is_signature && !is_told {
        return None;
    }
    let date = error.raw_response().and_then(|response| response.headers().get("date"));
    let theirs = date.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
    let seconds = theirs.map(|theirs| DateTime::from(SystemTime::now()).secs().saturating_sub(theirs.secs()));
    let words = Cause::ClockSkew.words();
    match seconds.filter(|seconds| seconds.unsigned_abs() > ALLOWED) {
        Some(seconds) if seconds > 0 => Some(format!("{words}: it is {seconds} s ahead of the service:")),
        Some(seconds) => Some(format!("{words}: it is {} s behind the service:", seconds.unsigned_abs())),
        None if is_told => Some(format!("{words}:")),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_the_key_name_it() {
        let message = "Access to KMS is not allowed";
        assert!(said(message).unwrap().contains("access to the KMS key is not allowed"));
        assert!(key_hint(message).unwrap().contains("kms:Decrypt"));
        assert!(said("not allowed").is_none() && key_hint("not allowed").is_none());
    }
}
