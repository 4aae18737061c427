//! The single mapping from the result of a call to the caller's error.

use ksm_storage_core::{Absence, Error, ErrorKind, Location, Outcome};

use crate::{
    client::{CallError, Failure},
    hints::Place,
};

/// The calls of [`SecretsClient`](crate::SecretsClient).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Get,
    Put,
    Create,
    Move,
    Describe,
    List,
}

impl Call {
    fn action(self) -> &'static str {
        match self {
            Self::Get => "secretsmanager:GetSecretValue",
            Self::Put => "secretsmanager:PutSecretValue",
            Self::Create => "secretsmanager:CreateSecret",
            Self::Move => "secretsmanager:UpdateSecretVersionStage",
            Self::Describe => "secretsmanager:DescribeSecret",
            Self::List => "secretsmanager:ListSecretVersionIds",
        }
    }
}

/// Kind and outcome, regardless of the text of the reply.
pub(crate) fn classify(error: &CallError) -> (ErrorKind, Outcome) {
    let (kind, outcome) = if error.failure == Failure::Answered {
        let (kind, outcome, _) = answered(error);
        (kind, outcome)
    } else {
        let outcome = if error.sent { Outcome::Unknown } else { Outcome::NotApplied };
        (unanswered(&error.failure).0, outcome)
    };
    (kind, if error.unanswered { Outcome::Unknown } else { outcome })
}

fn unanswered(failure: &Failure) -> (ErrorKind, &'static str) {
    use ErrorKind::{Credentials, InvalidArgument, Timeout, Unavailable, Unexpected};
    match failure {
        Failure::NotBuilt(_) => (InvalidArgument, "check region, endpoint and secret ID"),
        Failure::NoCredentials(_) => (
            Credentials,
            "check the source of the credentials: aws sts get-caller-identity shows whether there are any",
        ),
        Failure::TimedOut => (Timeout, "check network, proxy, VPC endpoint and region"),
        Failure::Disconnected => (Unavailable, "check network, proxy, VPC endpoint and region"),
        Failure::Answered | Failure::Unreadable | Failure::TooLong | Failure::Untrusted => {
            (Unexpected, "check that the endpoint is that of AWS Secrets Manager")
        }
        Failure::Panicked(_) => {
            (Unexpected, "report it, with the panic message from the program's standard error")
        }
    }
}

/// The remedy for a failure of the service itself.
const OUTAGE: &str = "the service, or a proxy in between, fails: try again; if it persists, look at the region's health \
                      (https://health.aws.amazon.com/health/status)";
const QUOTA: &str = "the account's quota for this call is used up: call less often";

/// The hint for an error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Advice {
    None,
    Text(&'static str),
    Missing,
    Deleted,
    Denied,
}

/// Decides by the error code, or by the HTTP status if the code is unknown.
fn answered(error: &CallError) -> (ErrorKind, Outcome, Advice) {
    use ErrorKind::{
        AccessDenied, Credentials, InvalidArgument, NotFound, QuotaExceeded, Throttled, Unavailable,
        Unexpected,
    };
    use Outcome::{NotApplied, Unknown};
    match error.code.as_deref().unwrap_or_default() {
        "ResourceNotFoundException" => (NotFound, NotApplied, Advice::Missing),
        "AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation" => {
            (AccessDenied, NotApplied, Advice::Denied)
        }
        "DecryptionFailure" | "DecryptionFailureException" => (
            AccessDenied,
            NotApplied,
            Advice::Text("enable the secret's KMS key, and grant kms:Decrypt on it"),
        ),
        "EncryptionFailure" | "EncryptionFailureException" => (
            AccessDenied,
            NotApplied,
            Advice::Text("enable the secret's KMS key, and grant kms:GenerateDataKey and kms:Decrypt on it"),
        ),
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "AuthFailure" => {
            (Credentials, NotApplied, Advice::Text("check access key, secret and session token"))
        }
        "ExpiredTokenException" | "ExpiredToken" | "RequestExpired" | "RequestTimeTooSkewed" => {
            (Credentials, NotApplied, Advice::Text("renew them, and check the clock of this host (date -u)"))
        }
        "ThrottlingException"
        | "Throttling"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "ThrottledException"
        | "SlowDown" => (Throttled, NotApplied, Advice::Text(QUOTA)),
        "LimitExceededException" => (
            QuotaExceeded,
            NotApplied,
            Advice::Text(
                "a secret keeps every version for 24 hours, and about 100 of them: write less often, and wait until \
                 the oldest is a day old",
            ),
        ),
        "ResourceExistsException" => (ErrorKind::Conflict, NotApplied, Advice::None),
        "InvalidRequestException" => (NotFound, NotApplied, Advice::Deleted),
        "InvalidParameterException"
        | "ValidationException"
        | "PreconditionNotMetException"
        | "MalformedPolicyDocumentException" => (
            InvalidArgument,
            NotApplied,
            Advice::Text("check the secret ID; a replica is written in its primary region only"),
        ),
        "InternalServiceError"
        | "InternalServiceErrorException"
        | "InternalFailure"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => (Unavailable, Unknown, Advice::Text(OUTAGE)),
        _ if error.status.is_some_and(|status| status >= 500) => (Unavailable, Unknown, Advice::Text(OUTAGE)),
        _ if error.status == Some(429) => (Throttled, NotApplied, Advice::Text(QUOTA)),
        _ => (Unexpected, Unknown, Advice::Text("check that the endpoint is that of AWS Secrets Manager")),
    }
}

/// Returns true for the error codes of throttling, which ends within seconds.
pub(crate) fn is_throttling(code: &str) -> bool {
    answered(&CallError::answered(400, code)).0 == ErrorKind::Throttled
}

/// The remedy, with the source of the credentials if the service rejects them.
fn of_source(hint: &str, error: &CallError, credentials: Option<&str>) -> String {
    match credentials {
        Some(source) if error.failure == Failure::Answered && classify(error).0 == ErrorKind::Credentials => {
            format!("the credentials come from {source}: {hint}")
        }
        _ => hint.to_owned(),
    }
}

/// The remedy for a call that is not about a secret.
pub(crate) fn general_hint(error: &CallError, credentials: Option<&str>) -> Option<String> {
    if let Some(hint) = &error.hint {
        return Some(hint.to_string());
    }
    match (&error.failure, answered(error).2) {
        (Failure::Answered, Advice::Text(text)) => Some(of_source(text, error, credentials)),
        (Failure::Answered, _) => None,
        (failure, _) => Some(unanswered(failure).1.to_owned()),
    }
}

/// The remedy for a call that failed.
fn hint(call: Call, error: &CallError, place: &Place<'_>) -> Option<String> {
    if let Some(hint) = &error.hint {
        return Some(hint.to_string());
    }
    let advice = match error.failure {
        Failure::Answered => answered(error).2,
        ref failure => Advice::Text(unanswered(failure).1),
    };
    match advice {
        Advice::None => None,
        Advice::Text(text) => Some(of_source(text, error, place.credentials)),
        Advice::Missing => Some(place.create()),
        Advice::Deleted => Some(format!(
            "the secret is marked for deletion, or managed by another service; to see which: {}; to undo a deletion: {}",
            place.describe(),
            place.command("restore-secret")
        )),
        Advice::Denied if call == Call::List => {
            Some(format!("grant {} on {}", call.action(), place.arn(error.message.as_deref())))
        }
        Advice::Denied => Some(format!(
            "grant {} on {}, and with a customer managed key {}; AWS gives the same reply if the secret does not exist",
            call.action(),
            place.arn(error.message.as_deref()),
            if matches!(call, Call::Get | Call::Describe | Call::List) {
                "kms:Decrypt"
            } else {
                "kms:GenerateDataKey and kms:Decrypt"
            }
        )),
    }
}

/// The secret or its value is absent: the service's reply does not distinguish the two.
pub(crate) fn absence(place: &Place<'_>, answer: CallError) -> Absence {
    let mut absence = Absence::new("the secret does not exist in this region, or has no value")
        .with_hint(format!("{}; if it has no value, store one with put-secret-value", place.create()));
    if let Some(code) = answer.code {
        absence = absence.with_code(code);
    }
    if let Some(request_id) = answer.request_id {
        absence = absence.with_request_id(request_id);
    }
    absence
}

/// The error of a call that failed for good.
pub(crate) fn failed(call: Call, error: CallError, place: &Place<'_>, location: Location) -> Error {
    let (kind, outcome) = classify(&error);
    let hint = hint(call, &error, place);
    let mut described = Error::new(kind, error.to_string()).with_outcome(outcome).with_location(location);
    if matches!(call, Call::Get | Call::Describe | Call::List) {
        described = described.with_outcome(Outcome::NotApplied);
    }
    if let Some(hint) = hint {
        described = described.with_hint(hint);
    }
    described.with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(call: Call, error: CallError) -> Error {
        let id = "ksm-config".parse().unwrap();
        let place = Place {
            id: &id,
            arn: None,
            region: "us-east-1",
            profile: None,
            credentials: Some("profile \"work\""),
        };
        failed(call, error, &place, Location::new("aws-sm", "us-east-1/ksm-config"))
    }

    /// Covers every code known from the API model or from practice; the outcome is that of a put.
    #[test]
    fn codes_map_to_kind_outcome_remedy() {
        use ErrorKind::*;
        use Outcome::{NotApplied, Unknown};
        for (status, code, kind, outcome, remedy) in [
            (400, "ResourceNotFoundException", NotFound, NotApplied, "create-secret"),
            (400, "InvalidParameterException", InvalidArgument, NotApplied, "replica"),
            (400, "InvalidRequestException", NotFound, NotApplied, "restore-secret"),
            (400, "DecryptionFailure", AccessDenied, NotApplied, "kms:Decrypt"),
            (400, "EncryptionFailure", AccessDenied, NotApplied, "kms:GenerateDataKey"),
            (500, "InternalServiceError", Unavailable, Unknown, "health"),
            (400, "LimitExceededException", QuotaExceeded, NotApplied, "24 hours"),
            (400, "ResourceExistsException", Conflict, NotApplied, ""),
            (400, "AccessDeniedException", AccessDenied, NotApplied, "secretsmanager:PutSecretValue"),
            (400, "ThrottlingException", Throttled, NotApplied, "quota"),
            (400, "UnrecognizedClientException", Credentials, NotApplied, "from profile \"work\": "),
            (400, "InvalidSignatureException", Credentials, NotApplied, "access key"),
            (
                400,
                "ExpiredTokenException",
                Credentials,
                NotApplied,
                "come from profile \"work\": renew them, and",
            ),
            (400, "InvalidClientTokenId", Credentials, NotApplied, "access key"),
            (400, "IncompleteSignature", Credentials, NotApplied, "access key"),
            (400, "ValidationException", InvalidArgument, NotApplied, "secret ID"),
            (400, "ServiceUnavailable", Unavailable, Unknown, "health"),
            (503, "NeverHeardOf", Unavailable, Unknown, "try again; if it persists"),
            (500, "", Unavailable, Unknown, "health"),
            (502, "", Unavailable, Unknown, "a proxy in between"),
            (429, "", Throttled, NotApplied, "quota"),
            (418, "NeverHeardOf", Unexpected, Unknown, "endpoint"),
        ] {
            let error = error_of(Call::Put, CallError::answered(status, code));
            assert_eq!((error.kind(), error.outcome()), (kind, outcome), "{code}");
            assert!(error.to_string().contains(remedy), "{error}");
        }
    }

    #[test]
    fn unanswered_requests_tell_their_progress() {
        use Outcome::{NotApplied, Unknown};
        for (failure, kind, outcome) in [
            (Failure::NotBuilt("no".into()), ErrorKind::InvalidArgument, NotApplied),
            (Failure::NoCredentials("none".into()), ErrorKind::Credentials, NotApplied),
            (Failure::TimedOut, ErrorKind::Timeout, Unknown),
            (Failure::Disconnected, ErrorKind::Unavailable, Unknown),
            (Failure::Unreadable, ErrorKind::Unexpected, Unknown),
            (Failure::Untrusted, ErrorKind::Unexpected, NotApplied),
            (Failure::TooLong, ErrorKind::Unexpected, Unknown),
            (Failure::Panicked("a call"), ErrorKind::Unexpected, Unknown),
        ] {
            let error = CallError::new(failure);
            assert_eq!(classify(&error), (kind, outcome), "{error}");
            let unsent = CallError { sent: false, ..error };
            assert_eq!(classify(&unsent).1, NotApplied, "{unsent}");
        }
    }

    #[test]
    fn refusal_does_not_settle_earlier_request() {
        let refusal = CallError::answered(400, "ThrottlingException");
        let after_another = CallError { unanswered: true, ..refusal.clone() };
        assert_eq!(classify(&refusal).1, Outcome::NotApplied);
        assert_eq!(classify(&after_another), (ErrorKind::Throttled, Outcome::Unknown));
    }

    #[test]
    fn failed_read_is_not_applied() {
        let outcome = |call| error_of(call, CallError::new(Failure::TimedOut)).outcome();
        assert_eq!([Call::Get, Call::List].map(outcome), [Outcome::NotApplied; 2]);
        assert_eq!([Call::Put, Call::Create, Call::Move].map(outcome), [Outcome::Unknown; 3]);
    }

    #[test]
    fn refusal_names_its_action() {
        const READ: &str = "key kms:Decrypt;";
        const WRITE: &str = "key kms:GenerateDataKey and kms:Decrypt;";
        let arn = "arn:PARTITION:secretsmanager:us-east-1:ACCOUNT:secret:ksm-config-??????";
        for (call, action, key) in [
            (Call::Get, "GetSecretValue", READ),
            (Call::Describe, "DescribeSecret", READ),
            (Call::Put, "PutSecretValue", WRITE),
            (Call::Create, "CreateSecret", WRITE),
            (Call::Move, "UpdateSecretVersionStage", WRITE),
            (Call::List, "ListSecretVersionIds", ""),
        ] {
            for code in ["AccessDeniedException", "AccessDenied", "UnauthorizedOperation"] {
                let text = error_of(call, CallError::answered(400, code)).to_string();
                assert!(text.contains(&format!("grant secretsmanager:{action} on {arn}")), "{text}");
                assert!(text.contains(key) && text.contains("kms:") != key.is_empty(), "{text}");
                assert_eq!(text.contains("if the secret does not exist"), call != Call::List, "{text}");
            }
        }
    }
}
