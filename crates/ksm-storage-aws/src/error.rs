//! One mapping from what a call came to, to what the caller is told.

use ksm_storage_core::{Absence, Error, ErrorKind, Location, Outcome, shell_word};

use crate::{
    SecretId,
    client::{CallError, Failure},
};

/// The calls of the seam.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Get,
    Put,
    Create,
    Move,
}

impl Call {
    fn action(self) -> &'static str {
        match self {
            Self::Get => "secretsmanager:GetSecretValue",
            Self::Put => "secretsmanager:PutSecretValue",
            Self::Create => "secretsmanager:CreateSecret",
            Self::Move => "secretsmanager:UpdateSecretVersionStage",
        }
    }
}

/// Kind, outcome and hint. The text of an answer has no part in it.
pub(crate) fn classify(call: Call, error: &CallError) -> (ErrorKind, Outcome, Option<String>) {
    let (kind, outcome, hint) = by_failure(call, error);
    (kind, if error.unanswered { Outcome::Unknown } else { outcome }, hint)
}

fn by_failure(call: Call, error: &CallError) -> (ErrorKind, Outcome, Option<String>) {
    use ErrorKind::{Credentials, InvalidArgument, Timeout, Unavailable, Unexpected};
    use Outcome::{NotApplied, Unknown};
    let (kind, hint) = match &error.failure {
        Failure::Answered => return answered(call, error),
        Failure::NotBuilt(_) => (InvalidArgument, "check region, endpoint and secret id"),
        Failure::NoCredentials(_) => (
            Credentials,
            "look at the credentials of the mode that this storage was opened with; \
             `aws sts get-caller-identity` shows whether there are any",
        ),
        Failure::TimedOut => (Timeout, "check network, proxy, VPC endpoint and region"),
        Failure::Disconnected => (Unavailable, "check network, proxy, VPC endpoint and region"),
        Failure::Unreadable | Failure::TooLong => {
            (Unexpected, "check that the endpoint is that of AWS Secrets Manager")
        }
        Failure::Panicked(_) => {
            (Unexpected, "report it, with the panic that the program's standard error shows")
        }
    };
    let outcome = if error.sent { Unknown } else { NotApplied };
    (kind, outcome, Some(hint.to_owned()))
}

/// By the error code, and where that says nothing by the status.
fn answered(call: Call, error: &CallError) -> (ErrorKind, Outcome, Option<String>) {
    use ErrorKind::{
        AccessDenied, Credentials, InvalidArgument, NotFound, QuotaExceeded, Throttled, Unavailable,
        Unexpected,
    };
    use Outcome::{NotApplied, Unknown};
    let hint = |text: &str| Some(text.to_owned());
    match error.code.as_deref().unwrap_or_default() {
        "ResourceNotFoundException" => (
            NotFound,
            NotApplied,
            hint(
                "check name and region, or create it: \
                 aws secretsmanager create-secret --name NAME --region REGION --secret-string '{}'",
            ),
        ),
        "AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation" => (
            AccessDenied,
            NotApplied,
            Some(format!(
                "grant {} on the secret's ARN (arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME-??????), and \
                 with a customer managed key {}; for a secret that does not exist the answer is the same",
                call.action(),
                if call == Call::Get { "kms:Decrypt" } else { "kms:GenerateDataKey and kms:Decrypt" }
            )),
        ),
        "DecryptionFailure" | "DecryptionFailureException" => {
            (AccessDenied, NotApplied, hint("enable the secret's KMS key, and grant kms:Decrypt on it"))
        }
        "EncryptionFailure" | "EncryptionFailureException" => (
            AccessDenied,
            NotApplied,
            hint("enable the secret's KMS key, and grant kms:GenerateDataKey and kms:Decrypt on it"),
        ),
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "AuthFailure" => (
            Credentials,
            NotApplied,
            hint(
                "the service does not accept the access key or its signature: check key, secret and session token",
            ),
        ),
        "ExpiredTokenException" | "ExpiredToken" | "RequestExpired" | "RequestTimeTooSkewed" => {
            (Credentials, NotApplied, hint("obtain new credentials, and check the host's clock"))
        }
        "ThrottlingException"
        | "Throttling"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "ThrottledException"
        | "SlowDown" => {
            (Throttled, NotApplied, hint("the account's quota for this call is used up: call less often"))
        }
        "LimitExceededException" => (
            QuotaExceeded,
            NotApplied,
            hint(
                "a secret keeps every version for 24 hours, and about 100 of them: write less often, and wait until \
                 the oldest is a day old",
            ),
        ),
        "ResourceExistsException" => (ErrorKind::Conflict, NotApplied, None),
        "InvalidRequestException" => (
            NotFound,
            NotApplied,
            hint(
                "the secret is marked for deletion, or managed by another service: \
                 `aws secretsmanager describe-secret` tells, `aws secretsmanager restore-secret` undoes a deletion",
            ),
        ),
        "InvalidParameterException"
        | "ValidationException"
        | "PreconditionNotMetException"
        | "MalformedPolicyDocumentException" => (
            InvalidArgument,
            NotApplied,
            hint("check the secret id; a replica is written in its primary region only"),
        ),
        "InternalServiceError"
        | "InternalServiceErrorException"
        | "InternalFailure"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => (Unavailable, Unknown, None),
        _ if error.status.is_some_and(|status| status >= 500) => (Unavailable, Unknown, None),
        _ if error.status == Some(429) => (Throttled, NotApplied, None),
        _ => (Unexpected, Unknown, hint("check that the endpoint is that of AWS Secrets Manager")),
    }
}

/// The absence of the secret `id`, or of a value in it: the service's answer does not tell which.
pub(crate) fn absence(id: &SecretId, answer: CallError) -> Absence {
    let mut absence = Absence::new("the secret does not exist in this region, or has no value").with_hint(format!(
        "check name and region, or create it: aws secretsmanager create-secret --name {} --secret-string '{{}}'; if it \
         exists, store a value with put-secret-value",
        if id.is_arn() { "NAME".to_owned() } else { shell_word(id.name()) }
    ));
    if let Some(code) = answer.code {
        absence = absence.with_code(code);
    }
    if let Some(request_id) = answer.request_id {
        absence = absence.with_request_id(request_id);
    }
    absence
}

/// The error of a call that failed for good.
pub(crate) fn failed(call: Call, error: CallError, location: Location) -> Error {
    let (kind, outcome, hint) = classify(call, &error);
    let mut told = Error::new(kind, error.to_string()).with_outcome(outcome).with_location(location);
    if call == Call::Get {
        told = told.with_outcome(Outcome::NotApplied);
    }
    if let Some(hint) = hint {
        told = told.with_hint(hint);
    }
    told.with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every code that the API model or practice knows; the outcome is that of a put.
    #[test]
    fn every_code_has_its_kind_outcome_and_remedy() {
        use ErrorKind::*;
        use Outcome::{NotApplied, Unknown};
        for (status, code, kind, outcome, remedy) in [
            (400, "ResourceNotFoundException", NotFound, NotApplied, "create-secret"),
            (400, "InvalidParameterException", InvalidArgument, NotApplied, "replica"),
            (400, "InvalidRequestException", NotFound, NotApplied, "restore-secret"),
            (400, "DecryptionFailure", AccessDenied, NotApplied, "kms:Decrypt"),
            (400, "EncryptionFailure", AccessDenied, NotApplied, "kms:GenerateDataKey"),
            (500, "InternalServiceError", Unavailable, Unknown, ""),
            (400, "LimitExceededException", QuotaExceeded, NotApplied, "24 hours"),
            (400, "ResourceExistsException", Conflict, NotApplied, ""),
            (400, "AccessDeniedException", AccessDenied, NotApplied, "secretsmanager:PutSecretValue"),
            (400, "ThrottlingException", Throttled, NotApplied, "quota"),
            (400, "UnrecognizedClientException", Credentials, NotApplied, "access key"),
            (400, "InvalidSignatureException", Credentials, NotApplied, "access key"),
            (400, "ExpiredTokenException", Credentials, NotApplied, "new credentials"),
            (400, "InvalidClientTokenId", Credentials, NotApplied, "access key"),
            (400, "IncompleteSignature", Credentials, NotApplied, "access key"),
            (400, "ValidationException", InvalidArgument, NotApplied, "secret id"),
            (400, "ServiceUnavailable", Unavailable, Unknown, ""),
            (503, "NeverHeardOf", Unavailable, Unknown, ""),
            (500, "", Unavailable, Unknown, ""),
            (502, "", Unavailable, Unknown, ""),
            (429, "", Throttled, NotApplied, ""),
            (418, "NeverHeardOf", Unexpected, Unknown, "endpoint"),
        ] {
            let (found, became, hint) = classify(Call::Put, &CallError::answered(status, code));
            assert_eq!((found, became), (kind, outcome), "{code}");
            assert!(hint.unwrap_or_default().contains(remedy), "{code}");
        }
    }

    #[test]
    fn what_was_not_answered_is_told_by_how_far_it_got() {
        use Outcome::{NotApplied, Unknown};
        for (failure, kind, outcome) in [
            (Failure::NotBuilt("no".into()), ErrorKind::InvalidArgument, NotApplied),
            (Failure::NoCredentials("none".into()), ErrorKind::Credentials, NotApplied),
            (Failure::TimedOut, ErrorKind::Timeout, Unknown),
            (Failure::Disconnected, ErrorKind::Unavailable, Unknown),
            (Failure::Unreadable, ErrorKind::Unexpected, Unknown),
            (Failure::TooLong, ErrorKind::Unexpected, Unknown),
            (Failure::Panicked("a call"), ErrorKind::Unexpected, Unknown),
        ] {
            let error = CallError::new(failure);
            let (found, became, _) = classify(Call::Move, &error);
            assert_eq!((found, became), (kind, outcome), "{error}");
            let unsent = CallError { sent: false, ..error };
            assert_eq!(classify(Call::Move, &unsent).1, NotApplied, "{unsent}");
        }
    }

    #[test]
    fn a_refusal_says_nothing_of_a_request_before_it_that_got_no_answer() {
        let refusal = CallError::answered(400, "ThrottlingException");
        let after_another = CallError { unanswered: true, ..refusal.clone() };
        let told = |error| classify(Call::Put, error);
        assert_eq!(told(&refusal).1, Outcome::NotApplied);
        assert_eq!(
            (told(&after_another).0, told(&after_another).1),
            (ErrorKind::Throttled, Outcome::Unknown)
        );
    }

    #[test]
    fn a_read_applies_nothing_however_it_fails() {
        let outcome =
            |call| failed(call, CallError::new(Failure::TimedOut), Location::new("aws-sm", "r/n")).outcome();
        assert_eq!(outcome(Call::Get), Outcome::NotApplied);
        assert_eq!([Call::Put, Call::Create, Call::Move].map(outcome), [Outcome::Unknown; 3]);
    }

    #[test]
    fn a_refusal_names_the_action_that_was_refused() {
        for (call, action, key) in [
            (Call::Get, "GetSecretValue", "kms:Decrypt"),
            (Call::Put, "PutSecretValue", "kms:GenerateDataKey"),
            (Call::Create, "CreateSecret", "kms:GenerateDataKey"),
            (Call::Move, "UpdateSecretVersionStage", "kms"),
        ] {
            let error = failed(
                call,
                CallError::answered(400, "AccessDeniedException"),
                Location::new("aws-sm", "r/n"),
            );
            let text = error.to_string();
            assert!(text.contains(action) && text.contains(key), "{text}");
        }
    }
}
