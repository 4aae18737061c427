//! Resource policies. They are stored and validated, but not enforced.

use serde_json::{Value as Json, json};

use super::request::{Request, object};
use crate::{Action, ApiError, Emulator};

impl Emulator {
    pub(super) fn put_policy(&self, request: Request<'_>) -> Result<Json, ApiError> {
        let policy = request.text("ResourcePolicy").unwrap_or_default();
        self.change(Action::PutResourcePolicy, request, |secret| {
            let parsed = Policy::parse(policy)?;
            if request.flag("BlockPublicPolicy") && parsed.is_public() {
                return Err(ApiError::new("PublicPolicyException", PUBLIC));
            }
            secret.policy = Some(policy.to_owned());
            Ok(json!({ "ARN": secret.arn, "Name": secret.name }))
        })
    }

    pub(super) fn delete_policy(&self, request: Request<'_>) -> Result<Json, ApiError> {
        self.change(Action::DeleteResourcePolicy, request, |secret| {
            secret.policy = None;
            Ok(json!({ "ARN": secret.arn, "Name": secret.name }))
        })
    }

    pub(super) fn policy(&self, request: Request<'_>) -> Result<Json, ApiError> {
        let state = self.lock();
        state.permit(Action::GetResourcePolicy)?;
        let secret = state.find(request.id())?;
        secret.usable()?;
        Ok(object([
            ("ARN", Some(json!(secret.arn))),
            ("Name", Some(json!(secret.name))),
            ("ResourcePolicy", secret.policy.as_ref().map(|policy| json!(policy))),
        ]))
    }

    pub(super) fn validate_policy(&self, request: Request<'_>) -> Result<Json, ApiError> {
        let state = self.lock();
        state.permit(Action::ValidateResourcePolicy)?;
        if let Some(id) = request.text("SecretId") {
            state.find(id)?.usable()?;
        }
        let failed = |check: &str, message: &str| {
            json!({
                "PolicyValidationPassed": false,
                "ValidationErrors": [{ "CheckName": check, "ErrorMessage": message }],
            })
        };
        match Policy::parse(request.text("ResourcePolicy").unwrap_or_default()) {
            Err(error) => Ok(failed("POLICY_SYNTAX", &error.message)),
            Ok(policy) if policy.is_public() => Ok(failed("PUBLIC_POLICY", PUBLIC)),
            Ok(_) => Ok(json!({ "PolicyValidationPassed": true, "ValidationErrors": [] })),
        }
    }
}

const PUBLIC: &str = "This resource policy grants broad access to your secret.";

/// A policy that has the required members.
struct Policy(Vec<Json>);

impl Policy {
    fn parse(text: &str) -> Result<Self, ApiError> {
        let malformed =
            || ApiError::new("MalformedPolicyDocumentException", "This policy has invalid syntax.");
        let mut policy: Json = serde_json::from_str(text).map_err(|_| malformed())?;
        let version = policy.get("Version").map(|version| version.as_str().unwrap_or_default());
        if !matches!(version, None | Some("2012-10-17" | "2008-10-17")) {
            return Err(malformed());
        }
        let statements = match policy.get_mut("Statement").map(Json::take) {
            Some(Json::Array(statements)) => statements,
            Some(statement @ Json::Object(_)) => vec![statement],
            _ => return Err(malformed()),
        };
        let is_statement = |statement: &Json| {
            matches!(statement["Effect"].as_str(), Some("Allow" | "Deny"))
                && ["Principal", "NotPrincipal"].iter().any(|member| statement.get(member).is_some())
                && ["Action", "NotAction"].iter().any(|member| statement.get(member).is_some())
        };
        if statements.iter().all(is_statement) { Ok(Self(statements)) } else { Err(malformed()) }
    }

    /// Returns true if the policy allows anything to everybody, unconditionally.
    fn is_public(&self) -> bool {
        let everybody = |principal: &Json| {
            let principals = principal.get("AWS").unwrap_or(principal);
            principals == "*" || principals.as_array().is_some_and(|all| all.contains(&json!("*")))
        };
        self.0.iter().any(|statement| {
            statement["Effect"] == "Allow"
                && statement.get("Condition").is_none()
                && statement.get("Principal").is_some_and(everybody)
        })
    }
}
