//! The words of a service in a reply that refuses a call.

use std::error;

use aws_smithy_types::error::ErrorMetadata;

use crate::cause::{chain, find};

/// Code and message of a service's reply.
pub(crate) fn answer(error: &(dyn error::Error + 'static)) -> Option<(String, String)> {
    if let Some(metadata) = find::<ErrorMetadata>(error) {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        return Some((text(metadata.code()), text(metadata.message())));
    }
    // Errors of the API model have types of the service's own crate, and their text begins with the error name.
    chain(error).find_map(|error| {
        let text = error.to_string();
        let (code, message) = text.split_once(": ").unwrap_or((&text, ""));
        // A type whose name Rust spells differently is followed by the service's own name for it.
        let code = code.strip_suffix(']').and_then(|code| code.split_once(" [")).map_or(code, |(_, own)| own);
        let is_code = code.ends_with("Exception") && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_code.then(|| (code.to_owned(), message.to_owned()))
    })
}

/// True if a service rejected the timestamp of a signature.
pub(crate) fn is_skewed(code: &str, message: &str) -> bool {
    matches!(code, "RequestTimeTooSkewed" | "RequestExpired")
        || message.starts_with("Signature expired")
        || message.starts_with("Signature not yet current")
}

/// Summarizes AWS's message `User: ARN is not authorized to perform: ACTION on resource: ARN …`.
///
/// Principal and action are parsed, so that nothing else of the reply gets into a log.
pub(crate) fn denial(message: &str) -> Option<String> {
    let (principal, rest) = message.strip_prefix("User: ")?.split_once(" is not authorized to perform: ")?;
    let action = rest.split([' ', ',']).next()?;
    let is_arn = principal.starts_with("arn:")
        && principal.len() <= 512
        && principal.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":/_+=,.@-*".contains(&byte));
    let is_action = (3..=128).contains(&action.len())
        && action.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":-*".contains(&byte))
        && action.contains(':');
    if !is_arn || !is_action {
        return None;
    }
    let reason = if message.contains("explicit deny in a service control policy") {
        ", because a service control policy denies it"
    } else if message.contains("explicit deny in a resource control policy") {
        ", because a resource control policy denies it"
    } else if message.contains("explicit deny") {
        ", because a policy denies it"
    } else if message.contains("no permissions boundary allows") {
        ", because no permissions boundary allows it"
    } else if message.contains("no session policy allows") {
        ", because no session policy allows it"
    } else if message.contains("no VPC endpoint policy allows") {
        ", because no VPC endpoint policy allows it"
    } else if message.contains("no resource-based policy allows") {
        ", because no resource-based policy allows it"
    } else if message.contains("no identity-based policy allows") {
        ", because no identity-based policy allows it"
    } else {
        ""
    };
    Some(format!("{principal} is not authorized to perform {action}{reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_keep_principal_and_action() {
        let user = "arn:aws:sts::123456789012:assumed-role/app/i-0abc";
        for (end, expected) in [
            (
                " on resource: ksm-config because no identity-based policy allows the secretsmanager:GetSecretValue action",
                ", because no identity-based policy allows it",
            ),
            (
                " on resource: x with an explicit deny in a service control policy",
                ", because a service control policy denies it",
            ),
            (
                " with an explicit deny in a resource control policy",
                ", because a resource control policy denies it",
            ),
            (" with an explicit deny", ", because a policy denies it"),
            (
                " because no permissions boundary allows the action",
                ", because no permissions boundary allows it",
            ),
            (" because no session policy allows the action", ", because no session policy allows it"),
            (
                " because no VPC endpoint policy allows the action",
                ", because no VPC endpoint policy allows it",
            ),
            (
                " because no resource-based policy allows the action",
                ", because no resource-based policy allows it",
            ),
            (", and also not to do something else", ""),
            ("", ""),
        ] {
            let message =
                format!("User: {user} is not authorized to perform: secretsmanager:GetSecretValue{end}");
            let summary = denial(&message).unwrap();
            assert_eq!(
                summary,
                format!("{user} is not authorized to perform secretsmanager:GetSecretValue{expected}")
            );
        }
        let principal =
            |len: usize| format!("User: arn:{} is not authorized to perform: a:b", "u".repeat(len - 4));
        let action = |action: &str| format!("User: arn:u is not authorized to perform: {action}");
        assert!(denial(&principal(512)).is_some() && denial(&action("a:b")).is_some());
        assert!(denial(&action(&format!("a:{}", "b".repeat(126)))).is_some());
        for message in [
            "",
            "Access to KMS is not allowed",
            "User: {\"privateKey\":\"s3cret\"} is not authorized to perform: a:b",
            "User: s3cret is not authorized to perform: a:b",
            "User: arn:aws:iam::1:user/a\nb is not authorized to perform: a:b",
            "User: arn:aws:iam::1:user/a is not authorized to perform: s3cret",
            "arn:u is not authorized to perform: a:b",
            &principal(513),
            &action("a:"),
            &action("a:\u{1b}[31m"),
            &action(&format!("a:{}", "b".repeat(127))),
        ] {
            assert_eq!(denial(message), None, "{message}");
        }
    }
}
