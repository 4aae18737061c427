//! Describes failed calls in our own words.

use std::{borrow::Cow, error, time::SystemTime};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_secretsmanager::{
    error::{ProvideErrorMetadata, SdkError},
    operation::RequestId,
};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::DispatchFailure};
use aws_smithy_types::{DateTime, date_time::Format};
use ksm_storage_core::{Error, ErrorKind, Panicked};

use crate::{
    cause::{Cause, find},
    client::{CallError, Failure},
    environment::Environment,
    explained::{CLOCK, SourceFailed},
    http::{InterimFlood, ReplyTooLong},
    interceptors::Unbuilt,
    refusal::{denial, is_skewed},
    setting::InvalidSetting,
    trace::Trace,
};

pub(crate) const UNBUILT: &str = "the request could not be built";

/// The printable part of a failed call. The error itself is dropped: its `Debug` shows the raw reply.
pub(crate) fn describe<E>(error: &SdkError<E, HttpResponse>, trace: &Trace) -> CallError
where
    E: error::Error + ProvideErrorMetadata + 'static,
{
    if let Some(failed) = find::<SourceFailed>(error) {
        return of_source(failed);
    }
    if let Some(CredentialsError::ProviderTimedOut(_)) = find(error) {
        return slow_source();
    }
    let failure = match error {
        SdkError::ServiceError(_) => Failure::Answered,
        SdkError::TimeoutError(_) => Failure::TimedOut,
        SdkError::ResponseError(_) if find::<ReplyTooLong>(error).is_some() => Failure::TooLong,
        SdkError::ResponseError(_) => Failure::Unreadable,
        SdkError::DispatchFailure(failure) => known(error).unwrap_or_else(|| dispatch(failure)),
        _ => known(error).unwrap_or(Failure::NotBuilt(UNBUILT.into())),
    };
    let described = match failure {
        Failure::TimedOut | Failure::Disconnected => of_connection(error, failure, trace),
        Failure::Answered => {
            let skewed = skew(error);
            let of_key = error.message().and_then(key_hint);
            CallError {
                message: skewed.clone().or_else(|| error.message().and_then(said)).map(Into::into),
                hint: skewed.map(|_| CLOCK).or(of_key).map(Into::into),
                ..CallError::new(failure)
            }
        }
        failure => CallError {
            hint: find::<InvalidSetting>(error).map(|invalid| invalid.hint().into()),
            ..CallError::new(failure)
        },
    };
    CallError {
        code: error.code().and_then(|code| clean(code, 64)),
        status: error.raw_response().map(|response| response.status().as_u16()),
        request_id: error.request_id().and_then(|id| clean(id, 64)),
        ..described
    }
}

fn dispatch(failure: &DispatchFailure) -> Failure {
    if failure.is_timeout() {
        Failure::TimedOut
    } else if failure.is_user() {
        Failure::NotBuilt(UNBUILT.into())
    } else {
        Failure::Disconnected
    }
}

/// The failures of a request that have a specific cause.
fn known(error: &(dyn error::Error + 'static)) -> Option<Failure> {
    if let Some(refusal) = refusal(error) {
        return Some(Failure::NotBuilt(refusal.into()));
    }
    if let Some(error) = find::<CredentialsError>(error) {
        return Some(Failure::NoCredentials(why(error)));
    }
    if find::<InterimFlood>(error).is_some() {
        return Some(Failure::Unreadable);
    }
    find::<Panicked>(error).map(|panicked| Failure::Panicked(panicked.step()))
}

/// A call that was not made because its credentials failed.
fn of_source(failed: &SourceFailed) -> CallError {
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
fn slow_source() -> CallError {
    CallError {
        message: Some(Cause::Slow.words().into()),
        hint: Some(
            "check whether it provides credentials to other programs: aws sts get-caller-identity".into(),
        ),
        ..CallError::new(Failure::TimedOut)
    }
}

/// A call that got no reply.
fn of_connection(error: &(dyn error::Error + 'static), failure: Failure, trace: &Trace) -> CallError {
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
fn said(message: &str) -> Option<String> {
    let refusal = match denial(message) {
        None if is_of_key(message) => "access to the KMS key is not allowed".to_owned(),
        refusal => refusal?,
    };
    Some(format!("the service answered that {refusal}:"))
}

/// The remedy if the KMS key caused a refusal that has one of the service's own codes.
fn key_hint(message: &str) -> Option<&'static str> {
    is_of_key(message).then_some(
        "grant kms:Decrypt on the secret's KMS key, and kms:GenerateDataKey to write, in the role's policy and in the \
         key's, and check that the key is enabled",
    )
}

fn is_of_key(message: &str) -> bool {
    message.contains("Access to KMS is not allowed")
}

/// The message for a reply that rejects the time of a request. The reply's `Date` header shows the clock skew.
fn skew<E>(error: &SdkError<E, HttpResponse>) -> Option<String>
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

/// The message for a setting or request that our own rules reject.
fn refusal(error: &(dyn error::Error + 'static)) -> Option<String> {
    let invalid = find::<InvalidSetting>(error).filter(|invalid| invalid.is_input());
    invalid.map(ToString::to_string).or_else(|| find::<Unbuilt>(error).map(ToString::to_string))
}

/// The error for credentials that could not be obtained because of an invalid setting.
pub(crate) fn invalid_setting(error: &CredentialsError) -> Option<Error> {
    match find::<InvalidSetting>(error).filter(|invalid| invalid.is_input()) {
        Some(invalid) => Some(invalid.clone().into()),
        None => refusal(error).map(|refusal| Error::not_applied(ErrorKind::InvalidArgument, refusal)),
    }
}

/// Describes the failure in our own words: sources can quote a credentials service's reply.
pub(crate) fn why(error: &CredentialsError) -> Cow<'static, str> {
    if let Some(invalid) = find::<InvalidSetting>(error) {
        return invalid.to_string().into();
    }
    if let Some(failed) = find::<SourceFailed>(error) {
        return failed.to_string().into();
    }
    if let Some(panicked) = find::<Panicked>(error) {
        return panicked.to_string().into();
    }
    if find::<ReplyTooLong>(error).is_some() || find::<InterimFlood>(error).is_some() {
        return "the reply of their source is too long".into();
    }
    match error {
        CredentialsError::CredentialsNotLoaded(_) => "no credentials were found",
        CredentialsError::ProviderTimedOut(_) => "no credentials were obtained in time",
        CredentialsError::InvalidConfiguration(_) => "the configuration of the credentials is not valid",
        _ => {
            let words = Cause::Failed.words();
            return match Cause::of_connection(error) {
                Some(cause) => format!("{words}: {}", cause.words()).into(),
                None => words.into(),
            };
        }
    }
    .into()
}

/// A code or ID if it is a single word: both come from the reply.
fn clean(text: &str, longest: usize) -> Option<String> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    ((1..=longest).contains(&text.len()) && text.bytes().all(word)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    #[test]
    fn refusals_of_the_key_name_it() {
        let message = "Access to KMS is not allowed";
        assert!(said(message).unwrap().contains("access to the KMS key is not allowed"));
        assert!(key_hint(message).unwrap().contains("kms:Decrypt"));
        assert!(said("not allowed").is_none() && key_hint("not allowed").is_none());
    }

    #[test]
    fn a_code_is_a_word() {
        assert_eq!(clean("AccessDeniedException", 64).as_deref(), Some("AccessDeniedException"));
        assert_eq!(clean("{\"privateKey\":\"x\"}", 64), None);
        assert_eq!(clean("", 64), None);
        assert_eq!(clean("a-b_c.1", 7).as_deref(), Some("a-b_c.1"));
        assert_eq!(clean(&"a".repeat(65), 64), None);
    }

    #[test]
    fn call_results_have_kinds() {
        type Failed = SdkError<GetSecretValueError, HttpResponse>;
        let reply = HttpResponse::new(502.try_into().unwrap(), SdkBody::empty());
        let refused = CredentialsError::not_loaded_no_source();
        for (error, failure) in [
            (Failed::timeout_error("late"), Failure::TimedOut),
            (Failed::dispatch_failure(ConnectorError::timeout("late".into())), Failure::TimedOut),
            (Failed::dispatch_failure(ConnectorError::io("gone".into())), Failure::Disconnected),
            (Failed::response_error("s3cret", reply), Failure::Unreadable),
            (Failed::construction_failure("s3cret"), Failure::NotBuilt(UNBUILT.into())),
            (
                Failed::dispatch_failure(ConnectorError::user("s3cret".into())),
                Failure::NotBuilt(UNBUILT.into()),
            ),
            (Failed::construction_failure(Unbuilt("no TLS")), Failure::NotBuilt("no TLS".into())),
            (
                Failed::construction_failure(refused),
                Failure::NoCredentials("no credentials were found".into()),
            ),
        ] {
            let found = describe(&error, &Trace::default());
            assert_eq!(found.status, (failure == Failure::Unreadable).then_some(502));
            assert_eq!(found.failure, failure);
        }
    }

    #[test]
    fn credential_errors_use_own_words() {
        for (error, words) in [
            (CredentialsError::not_loaded("s3cret"), "were found"),
            (CredentialsError::provider_timed_out(std::time::Duration::ZERO), "in time"),
            (CredentialsError::invalid_configuration("s3cret"), "not valid"),
            (CredentialsError::unhandled("s3cret"), "failed"),
        ] {
            assert!(why(&error).ends_with(words), "{}", why(&error));
        }
    }
}
