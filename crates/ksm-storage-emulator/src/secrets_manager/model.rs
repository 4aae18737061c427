//! The API model: request members, their types and constraints, and the errors for violations.
//!
//! The table repeats the input shapes of the service's model, `service-2.json` of botocore. The messages for lengths
//! and missing members are known from reports of AWS's responses. Those for patterns, ranges and enums follow the style
//! of other AWS services.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value as Json;

use super::secret::MAX_VALUE;
use crate::{Action, ApiError};

/// A member of a request or of a nested structure.
struct Member {
    name: &'static str,
    shape: Shape,
    required: bool,
}

#[derive(Clone, Copy)]
enum Shape {
    Text(Text),
    Blob { min: usize, max: usize },
    Integer { min: i64, max: i64 },
    Boolean,
    List { min: usize, max: usize, of: &'static Self },
    Structure(&'static [Member]),
}

#[derive(Clone, Copy)]
struct Text {
    min: usize,
    max: usize,
    form: Form,
    display: Display,
}

#[derive(Clone, Copy)]
enum Form {
    Any,
    OneOf(&'static [&'static str]),
    Pattern(&'static str, fn(&str) -> bool),
}

/// The form of a value in a message. The service does not show sensitive values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Display {
    Shown,
    Hidden,
}

const fn text(min: usize, max: usize) -> Shape {
    Shape::Text(Text { min, max, form: Form::Any, display: Display::Shown })
}

const fn one_of(names: &'static [&'static str]) -> Shape {
    Shape::Text(Text { min: 0, max: usize::MAX, form: Form::OneOf(names), display: Display::Shown })
}

const fn optional(name: &'static str, shape: Shape) -> Member {
    Member { name, shape, required: false }
}

const fn required(name: &'static str, shape: Shape) -> Member {
    Member { name, shape, required: true }
}

const SECRET_ID: Member = required("SecretId", text(1, 2048));
const TOKEN: Member = optional("ClientRequestToken", VERSION_ID);
const DESCRIPTION: Member = optional("Description", text(0, 2048));
const KMS_KEY_ID: Member = optional("KmsKeyId", text(0, 2048));
const TYPE: Member = optional("Type", text(0, 256));
const SECRET_STRING: Member = optional(
    "SecretString",
    Shape::Text(Text { min: 1, max: MAX_VALUE, form: Form::Any, display: Display::Hidden }),
);
const SECRET_BINARY: Member = optional("SecretBinary", Shape::Blob { min: 1, max: MAX_VALUE });
const MAX_RESULTS: Member = optional("MaxResults", Shape::Integer { min: 1, max: 100 });
const NEXT_TOKEN: Member = optional("NextToken", text(1, 4096));
const POLICY: Member = required("ResourcePolicy", text(1, 20_480));
const FORCE_OVERWRITE: Member = optional("ForceOverwriteReplicaSecret", Shape::Boolean);

const VERSION_ID: Shape = text(32, 64);
const STAGE: Shape = text(1, 256);
const STAGES: Shape = Shape::List { min: 1, max: 20, of: &STAGE };
const TAG_KEY: Shape = text(1, 128);
const TAG_KEYS: Shape = Shape::List { min: 0, max: usize::MAX, of: &TAG_KEY };
const TAG: Shape = Shape::Structure(&[optional("Key", TAG_KEY), optional("Value", text(0, 256))]);
const TAGS: Shape = Shape::List { min: 0, max: usize::MAX, of: &TAG };
const REGION: Shape = Shape::Text(Text {
    min: 1,
    max: 128,
    form: Form::Pattern(r"^([a-z]+-)+\d+$", is_region),
    display: Display::Shown,
});
const REGIONS: Shape = Shape::List { min: 1, max: usize::MAX, of: &REGION };
const REPLICA: Shape = Shape::Structure(&[optional("Region", REGION), KMS_KEY_ID]);
const REPLICAS: Shape = Shape::List { min: 1, max: usize::MAX, of: &REPLICA };
const ROTATION_TOKEN: Shape = Shape::Text(Text {
    min: 36,
    max: 256,
    form: Form::Pattern(r"^[a-zA-Z0-9\-]+$", is_rotation_token),
    display: Display::Hidden,
});
const FILTER_VALUE: Shape = Shape::Text(Text {
    min: 0,
    max: 512,
    form: Form::Pattern(r"^\!?[a-zA-Z0-9 :_@\/\+\=\.\-\!]*$", is_filter_value),
    display: Display::Shown,
});
const FILTER: Shape = Shape::Structure(&[
    optional(
        "Key",
        one_of(&["description", "name", "tag-key", "tag-value", "primary-region", "owning-service", "all"]),
    ),
    optional("Values", Shape::List { min: 1, max: 10, of: &FILTER_VALUE }),
]);
const FILTERS: Shape = Shape::List { min: 0, max: 10, of: &FILTER };

/// The members of an operation's requests.
fn members(action: Action) -> &'static [Member] {
    match action {
        Action::CreateSecret => {
            const {
                &[
                    required("Name", text(1, 512)),
                    TOKEN,
                    DESCRIPTION,
                    KMS_KEY_ID,
                    SECRET_BINARY,
                    SECRET_STRING,
                    optional("Tags", TAGS),
                    optional("AddReplicaRegions", REPLICAS),
                    FORCE_OVERWRITE,
                    TYPE,
                ]
            }
        }
        Action::DeleteSecret => {
            const {
                &[
                    SECRET_ID,
                    optional("RecoveryWindowInDays", Shape::Integer { min: i64::MIN, max: i64::MAX }),
                    optional("ForceDeleteWithoutRecovery", Shape::Boolean),
                ]
            }
        }
        Action::GetSecretValue => {
            const { &[SECRET_ID, optional("VersionId", VERSION_ID), optional("VersionStage", STAGE)] }
        }
        Action::ListSecretVersionIds => {
            const { &[SECRET_ID, MAX_RESULTS, NEXT_TOKEN, optional("IncludeDeprecated", Shape::Boolean)] }
        }
        Action::ListSecrets => {
            const {
                &[
                    optional("IncludePlannedDeletion", Shape::Boolean),
                    MAX_RESULTS,
                    NEXT_TOKEN,
                    optional("Filters", FILTERS),
                    optional("SortOrder", one_of(&["asc", "desc"])),
                    optional(
                        "SortBy",
                        one_of(&["created-date", "last-accessed-date", "last-changed-date", "name"]),
                    ),
                ]
            }
        }
        Action::PutResourcePolicy => {
            const { &[SECRET_ID, POLICY, optional("BlockPublicPolicy", Shape::Boolean)] }
        }
        Action::PutSecretValue => {
            const {
                &[
                    SECRET_ID,
                    TOKEN,
                    SECRET_BINARY,
                    SECRET_STRING,
                    optional("VersionStages", STAGES),
                    optional("RotationToken", ROTATION_TOKEN),
                ]
            }
        }
        Action::RemoveRegionsFromReplication => {
            const { &[SECRET_ID, required("RemoveReplicaRegions", REGIONS)] }
        }
        Action::ReplicateSecretToRegions => {
            const { &[SECRET_ID, required("AddReplicaRegions", REPLICAS), FORCE_OVERWRITE] }
        }
        Action::TagResource => const { &[SECRET_ID, required("Tags", TAGS)] },
        Action::UntagResource => const { &[SECRET_ID, required("TagKeys", TAG_KEYS)] },
        Action::UpdateSecret => {
            const { &[SECRET_ID, TOKEN, DESCRIPTION, KMS_KEY_ID, SECRET_BINARY, SECRET_STRING, TYPE] }
        }
        Action::UpdateSecretVersionStage => {
            const {
                &[
                    SECRET_ID,
                    required("VersionStage", STAGE),
                    optional("RemoveFromVersionId", VERSION_ID),
                    optional("MoveToVersionId", VERSION_ID),
                ]
            }
        }
        Action::ValidateResourcePolicy => const { &[optional("SecretId", text(1, 2048)), POLICY] },
        Action::DeleteResourcePolicy
        | Action::DescribeSecret
        | Action::GetResourcePolicy
        | Action::RestoreSecret
        | Action::StopReplicationToReplica => const { &[SECRET_ID] },
        Action::AssumeRole
        | Action::AssumeRoleWithWebIdentity
        | Action::GetCallerIdentity
        | Action::GetRoleCredentials => &[],
    }
}

/// Validates a request, as the service does before it looks up any secret.
pub(super) fn validate(action: Action, request: &Json) -> Result<(), ApiError> {
    let mut violations = Vec::new();
    check_members(members(action), request, "", &mut violations)?;
    if !violations.is_empty() {
        let number = violations.len();
        let plural = if number == 1 { "error" } else { "errors" };
        let message = format!("{number} validation {plural} detected: {}", violations.join("; "));
        return Err(ApiError::new("ValidationException", message));
    }
    let is_valid =
        |member, is_valid: fn(&str) -> bool| request.get(member).and_then(Json::as_str).is_none_or(is_valid);
    if !is_valid("Name", is_name) || !is_valid("SecretId", is_name_or_arn) {
        let message = "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!";
        return Err(ApiError::new("ValidationException", message));
    }
    Ok(())
}

fn check_members(
    members: &[Member],
    structure: &Json,
    path: &str,
    violations: &mut Vec<String>,
) -> Result<(), ApiError> {
    if !structure.is_object() {
        return Err(unreadable(structure, "Structure"));
    }
    for member in members {
        let path = format!("{path}{}", lower_camel(member.name));
        match structure.get(member.name) {
            Some(value) if !value.is_null() => check(&member.shape, value, &path, violations)?,
            _ if member.required => violations.push(format!(
                "Value null at '{path}' failed to satisfy constraint: Member must not be null"
            )),
            _ => {}
        }
    }
    Ok(())
}

fn check(shape: &Shape, value: &Json, path: &str, violations: &mut Vec<String>) -> Result<(), ApiError> {
    let mut violate = |shown: &str, constraint: &str| {
        violations.push(format!("Value{shown} at '{path}' failed to satisfy constraint: {constraint}"));
    };
    match shape {
        Shape::Text(text) => {
            let value = value.as_str().ok_or_else(|| unreadable(value, "String"))?;
            let shown = if text.display == Display::Shown { format!(" '{value}'") } else { String::new() };
            text.constraints()
                .into_iter()
                .filter(|(holds, _)| !holds(value))
                .for_each(|(_, constraint)| violate(&shown, &constraint));
        }
        Shape::Blob { min, max } => {
            let value = value.as_str().ok_or_else(|| unreadable(value, "Blob"))?;
            let bytes = STANDARD
                .decode(value)
                .map_err(|_| ApiError::new("SerializationException", "the binary value is not base64"))?;
            if let Some(constraint) = length(bytes.len(), *min, *max) {
                violate("", &constraint);
            }
        }
        Shape::Integer { min, max } => {
            let value = value.as_i64().ok_or_else(|| unreadable(value, "Long"))?;
            let shown = format!(" '{value}'");
            if value < *min {
                violate(&shown, &format!("Member must have value greater than or equal to {min}"));
            }
            if value > *max {
                violate(&shown, &format!("Member must have value less than or equal to {max}"));
            }
        }
        Shape::Boolean => {
            value.as_bool().ok_or_else(|| unreadable(value, "Boolean"))?;
        }
        Shape::List { min, max, of } => {
            let list = value.as_array().ok_or_else(|| unreadable(value, "List"))?;
            let texts: Vec<_> = list.iter().filter_map(Json::as_str).collect();
            let shown = format!(" '[{}]'", texts.join(", "));
            if let Some(constraint) = length(list.len(), *min, *max) {
                violate(&shown, &constraint);
            }
            if let Shape::Text(text) = of {
                if let Some(wrong) = list.iter().find(|value| !value.is_string()) {
                    return Err(unreadable(wrong, "String"));
                }
                let constraints = text.constraints();
                if texts.iter().any(|value| constraints.iter().any(|(holds, _)| !holds(value))) {
                    let all: Vec<_> = constraints.into_iter().map(|(_, constraint)| constraint).collect();
                    violate(&shown, &format!("Member must satisfy constraint: [{}]", all.join(", ")));
                }
            } else {
                for (number, value) in list.iter().enumerate() {
                    check(of, value, &format!("{path}.{}.member", number + 1), violations)?;
                }
            }
        }
        Shape::Structure(members) => check_members(members, value, &format!("{path}."), violations)?,
    }
    Ok(())
}

type Constraint = (Box<dyn Fn(&str) -> bool>, String);

impl Text {
    /// Returns the constraints, each with the service's wording.
    fn constraints(self) -> Vec<Constraint> {
        let mut constraints: Vec<Constraint> = Vec::new();
        // The limit of secret values is in bytes, all others are in characters.
        let len = move |value: &str| match self.display {
            Display::Hidden => value.len(),
            Display::Shown => value.chars().count(),
        };
        if self.max < usize::MAX {
            constraints.push((Box::new(move |value| len(value) <= self.max), at_most(self.max)));
        }
        if self.min > 0 {
            constraints.push((Box::new(move |value| len(value) >= self.min), at_least(self.min)));
        }
        match self.form {
            Form::Any => {}
            Form::OneOf(names) => {
                let text = format!("Member must satisfy enum value set: [{}]", names.join(", "));
                constraints.push((Box::new(move |value| names.contains(&value)), text));
            }
            Form::Pattern(pattern, matches) => {
                let text = format!("Member must satisfy regular expression pattern: {pattern}");
                constraints.push((Box::new(matches), text));
            }
        }
        constraints
    }
}

fn at_least(min: usize) -> String {
    format!("Member must have length greater than or equal to {min}")
}

fn at_most(max: usize) -> String {
    format!("Member must have length less than or equal to {max}")
}

/// The violated length constraint, if any.
fn length(len: usize, min: usize, max: usize) -> Option<String> {
    if len < min { Some(at_least(min)) } else { (len > max).then(|| at_most(max)) }
}

fn unreadable(value: &Json, expected: &str) -> ApiError {
    let found = match value {
        Json::Null => "NULL_VALUE",
        Json::Bool(true) => "TRUE_VALUE",
        Json::Bool(false) => "FALSE_VALUE",
        Json::Number(number) if number.is_f64() => "DECIMAL_VALUE",
        Json::Number(_) => "NUMBER_VALUE",
        Json::String(_) => "STRING_VALUE",
        Json::Array(_) => "START_OF_LIST",
        Json::Object(_) => "START_OF_STRUCTURE",
    };
    ApiError::new("SerializationException", format!("{found} can not be converted to a {expected}"))
}

fn lower_camel(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    first.to_ascii_lowercase() + rest
}

fn is_name(id: &str) -> bool {
    id.chars().all(|c| c.is_ascii_alphanumeric() || "-/_+=.@!".contains(c))
}

fn is_name_or_arn(id: &str) -> bool {
    if id.starts_with("arn:") { id.split(':').all(is_name) } else { is_name(id) }
}

fn is_region(value: &str) -> bool {
    let mut parts = value.rsplit('-');
    let number = parts.next().unwrap_or_default();
    let is = |part: &str, of: fn(&u8) -> bool| !part.is_empty() && part.bytes().all(|byte| of(&byte));
    let words: Vec<_> = parts.collect();
    is(number, u8::is_ascii_digit) && !words.is_empty() && words.iter().all(|w| is(w, u8::is_ascii_lowercase))
}

fn is_rotation_token(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn is_filter_value(value: &str) -> bool {
    value.chars().all(|c| c.is_ascii_alphanumeric() || " :_@/+=.-!".contains(c))
}
