//! Parses values in requests.

use std::time::Duration;

use serde_json::Value as Json;

use super::Rejected;
use crate::{Action, Fault, ResponseFault, keeper};

pub(super) fn text<'a>(body: &'a Json, field: &str) -> Result<&'a str, Rejected> {
    let missing = || Rejected::bad_request(format!("`{field}` must be a string"));
    body.get(field).and_then(Json::as_str).ok_or_else(missing)
}

pub(super) fn number(body: &Json, field: &str) -> Result<u32, Rejected> {
    let number = body.get(field).and_then(Json::as_u64).and_then(|number| number.try_into().ok());
    number.ok_or_else(|| Rejected::bad_request(format!("`{field}` must be a non-negative integer")))
}

pub(super) fn list<'a, T>(
    body: &'a Json,
    field: &str,
    parse: impl Fn(&'a Json) -> Result<T, Rejected>,
) -> Result<Vec<T>, Rejected> {
    let missing = || Rejected::bad_request(format!("`{field}` must be a list"));
    body.get(field).and_then(Json::as_array).ok_or_else(missing)?.iter().map(parse).collect()
}

pub(super) fn action(body: &Json) -> Result<Action, Rejected> {
    let name = text(body, "action")?;
    Action::from_name(name).ok_or_else(|| {
        let known = Action::ALL.map(Action::as_str).join(", ");
        Rejected::bad_request(format!("unknown action {name:?}; expected one of {known}"))
    })
}

pub(super) fn fault(value: &Json) -> Result<Fault, Rejected> {
    if let Some(code) = value.get("refuse").and_then(Json::as_str) {
        return Ok(Fault::refuse(code.to_owned()));
    }
    if let Some(fault) = value.get("before") {
        return Ok(Fault::Before(response_fault(fault)?));
    }
    if let Some(fault) = value.get("after") {
        return Ok(Fault::After(response_fault(fault)?));
    }
    if let Some(time) = value.get("delay_ms").and_then(Json::as_u64) {
        return Ok(Fault::Delay(Duration::from_millis(time)));
    }
    let expected = "expected `refuse`, `before`, `after` or `delay_ms`";
    Err(Rejected::bad_request(format!("unknown fault {value}; {expected}")))
}

pub(super) fn response_fault(value: &Json) -> Result<ResponseFault, Rejected> {
    let status = value.get("status").and_then(Json::as_u64).and_then(|status| status.try_into().ok());
    match (value.as_str(), status) {
        (Some("reset"), _) => Ok(ResponseFault::Reset),
        (Some("hang"), _) => Ok(ResponseFault::Hang),
        (Some("truncated"), _) => Ok(ResponseFault::Truncated),
        (Some("malformed"), _) => Ok(ResponseFault::Malformed),
        (Some("slow"), _) => Ok(ResponseFault::Slow),
        (None, Some(status)) => Ok(ResponseFault::Status(status)),
        _ => {
            let expected = "expected `reset`, `hang`, `truncated`, `malformed`, `slow` or a `status`";
            Err(Rejected::bad_request(format!("unknown response fault {value}; {expected}")))
        }
    }
}

pub(super) fn keeper_fault(value: &Json) -> Result<keeper::Fault, Rejected> {
    if value.get("use_key").is_some() {
        return Ok(keeper::Fault::UseKey(number(value, "use_key")?));
    }
    match value.as_str() {
        Some("unreachable") => Ok(keeper::Fault::Unreachable),
        Some("hang-before") => Ok(keeper::Fault::HangBefore),
        Some("lose-reply") => Ok(keeper::Fault::LoseReply),
        Some("hang-after") => Ok(keeper::Fault::HangAfter),
        Some("throttle") => Ok(keeper::Fault::Throttle),
        Some("deny") => Ok(keeper::Fault::Deny),
        Some("none") => Ok(keeper::Fault::None),
        _ => Err(Rejected::bad_request(format!("unknown fault {value} of the fake Keeper service"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn faults_have_names() {
        assert_eq!(fault(&json!({"refuse": "X"})).unwrap(), Fault::refuse("X"));
        assert_eq!(fault(&json!({"after": "slow"})).unwrap(), Fault::After(ResponseFault::Slow));
        let status = Fault::Before(ResponseFault::Status(500));
        assert_eq!(fault(&json!({"before": {"status": 500}})).unwrap(), status);
        assert_eq!(fault(&json!({"delay_ms": 5})).unwrap(), Fault::Delay(Duration::from_millis(5)));
        for wrong in [json!("reset"), json!({"after": "x"}), json!({"before": {"status": 70_000}}), json!({})]
        {
            assert!(fault(&wrong).is_err(), "{wrong}");
        }
        assert_eq!(keeper_fault(&json!({"use_key": 7})).unwrap(), keeper::Fault::UseKey(7));
        assert_eq!(keeper_fault(&json!("lose-reply")).unwrap(), keeper::Fault::LoseReply);
        assert!(keeper_fault(&json!("lost")).is_err());
    }
}
