//! Validates requests against the API model.
//!
//! The messages for lengths and missing members are known from reports of AWS's responses. Those for patterns, ranges
//! and enums follow the style of other AWS services.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value as Json;

use super::model::{Display, Form, Member, Shape, Text, members};
use crate::{Action, ApiError};

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
