//! The requests, as listed in the README.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use hyper::Method;
use serde_json::{Map, Value as Json, json};

use super::{
    Rejected,
    parse::{action, fault, keeper_fault, list, number, response_fault, text},
};
use crate::{Action, Emulator, InstanceMetadata, Value, form::percent_decode, keeper::FakeKeeper};

/// Everything that can be controlled.
pub(super) struct World {
    pub(super) emulator: Emulator,
    pub(super) metadata: InstanceMetadata,
    pub(super) keeper: Option<Arc<FakeKeeper>>,
}

const DONE: Json = Json::Null;

impl World {
    pub(super) fn handle(&self, method: &Method, path: &str, body: &Json) -> Result<Json, Rejected> {
        if let Some(name) = path.strip_prefix("/secrets/") {
            return self.secret(method, &percent_decode(name), body);
        }
        if let Some(path) = path.strip_prefix("/keeper/") {
            return self.keeper(method, path, body);
        }
        let emulator = &self.emulator;
        match (method.as_str(), path) {
            ("GET", "/calls") => {
                let calls = Action::ALL.map(|action| (action.to_string(), emulator.calls(action).into()));
                return Ok(Json::Object(Map::from_iter(calls)));
            }
            ("DELETE", "/calls") => emulator.reset_calls(),
            ("POST", "/faults") => emulator.fail(action(body)?, list(body, "faults", fault)?),
            ("DELETE", "/faults") => emulator.clear_faults(),
            ("POST", "/denials") => emulator.deny(action(body)?, text(body, "code")?.to_owned()),
            ("DELETE", "/denials") => emulator.allow_all(),
            ("PUT", "/version-quota") => {
                let unlimited = body.get("versions").is_some_and(Json::is_null);
                let versions = if unlimited { None } else { Some(number(body, "versions")? as usize) };
                emulator.set_version_quota(versions);
            }
            ("PUT", "/stale-reads") => emulator.read_stale(number(body, "reads")?),
            ("POST", "/clock") => emulator.advance(Duration::from_secs(number(body, "seconds")?.into())),
            ("PUT", "/clock") => {
                emulator.set_clock(UNIX_EPOCH + Duration::from_secs(number(body, "time")?.into()));
            }
            ("PUT", "/metadata") => self.metadata(body)?,
            ("PUT", "/web-identity-token") => emulator.expect_web_identity_token(text(body, "token")?),
            ("PUT", "/sso-token") => emulator.expect_sso_token(text(body, "token")?),
            _ => return Err(unknown(method, path)),
        }
        Ok(DONE)
    }

    fn metadata(&self, body: &Json) -> Result<(), Rejected> {
        let (fault, role) = (body.get("fault"), body.get("role"));
        if fault.is_none() && role.is_none() {
            return Err(Rejected::bad_request("expected `fault` or `role`"));
        }
        if let Some(fault) = fault {
            self.metadata.set_fault(if fault.is_null() { None } else { Some(response_fault(fault)?) });
        }
        match role {
            None => {}
            Some(Json::Null) => self.metadata.set_role(None),
            Some(role) => {
                let expected = "`role` must be a list of access key ID, secret access key and session token";
                let fields = role.as_array().into_iter().flatten().filter_map(Json::as_str);
                let credentials = <[&str; 3]>::try_from(fields.collect::<Vec<_>>());
                self.metadata.set_role(Some(credentials.map_err(|_| Rejected::bad_request(expected))?));
            }
        }
        Ok(())
    }

    fn secret(&self, method: &Method, name: &str, body: &Json) -> Result<Json, Rejected> {
        let secret = self.emulator.secret(name);
        match *method {
            Method::GET => {
                let missing = || Rejected::not_found(format!("no secret {name:?}"));
                let arn = secret.arn().ok_or_else(missing)?;
                let value = secret.value("AWSCURRENT");
                let value = value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
                let versions = secret.versions().into_iter();
                let versions: Vec<_> =
                    versions.map(|(id, labels)| json!({ "id": id, "labels": labels })).collect();
                Ok(json!({ "arn": arn, "value": value, "versions": versions }))
            }
            Method::PUT if body.get("current").is_some() => {
                let version = text(body, "current")?;
                let missing = || Rejected::not_found(format!("no version {version:?} of the secret"));
                secret.roll_back(version).then_some(DONE).ok_or_else(missing)
            }
            Method::PUT => {
                let id = secret.overwrite(Value::Text(text(body, "value")?.into()));
                Ok(json!({ "version_id": id }))
            }
            Method::DELETE => {
                secret.remove();
                Ok(DONE)
            }
            _ => Err(unknown(method, "/secrets/NAME")),
        }
    }

    fn keeper(&self, method: &Method, path: &str, body: &Json) -> Result<Json, Rejected> {
        let absent = || Rejected::not_found("no fake Keeper service; start it with --keeper");
        let keeper = self.keeper.as_ref().ok_or_else(absent)?;
        match (method.as_str(), path) {
            ("POST", "tokens") => {
                let ip_locked = body.get("ip_locked").and_then(Json::as_bool) == Some(true);
                let token = if ip_locked { keeper.issue_ip_locked_token() } else { keeper.issue_token() };
                return Ok(json!({ "token": token }));
            }
            ("GET", "requests") => {
                let requests = keeper.requests().into_iter().map(|request| {
                    json!({
                        "action": request.action, "status": request.status,
                        "with_public_key": request.with_public_key,
                    })
                });
                return Ok(requests.collect());
            }
            ("POST", "faults") => keeper.fail_next(list(body, "faults", keeper_fault)?),
            ("DELETE", "faults") => keeper.clear_faults(),
            ("DELETE", "requests") => keeper.clear_requests(),
            ("DELETE", "clients") => keeper.revoke_all(),
            _ => return Err(unknown(method, path)),
        }
        Ok(DONE)
    }
}

fn unknown(method: &Method, path: &str) -> Rejected {
    Rejected::not_found(format!("no such request: {method} {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::AppKeyPolicy;

    #[test]
    fn documented_requests_exist() {
        let emulator = Emulator::new("us-east-1");
        let metadata = InstanceMetadata::new(emulator.region());
        let keeper = Some(Arc::new(FakeKeeper::start(AppKeyPolicy::Once).unwrap()));
        let world = World { emulator, metadata, keeper };
        for (methods, path) in [
            ("GET DELETE", "/calls"),
            ("POST DELETE", "/faults"),
            ("POST DELETE", "/denials"),
            ("PUT", "/version-quota"),
            ("PUT", "/stale-reads"),
            ("POST PUT", "/clock"),
            ("GET PUT DELETE", "/secrets/NAME"),
            ("PUT", "/metadata"),
            ("PUT", "/web-identity-token"),
            ("PUT", "/sso-token"),
            ("POST", "/keeper/tokens"),
            ("POST DELETE", "/keeper/faults"),
            ("GET DELETE", "/keeper/requests"),
            ("DELETE", "/keeper/clients"),
        ] {
            for method in ["GET", "POST", "PUT", "DELETE"] {
                let handled = world.handle(&method.parse().unwrap(), path, &Json::Null);
                let exists = !format!("{handled:?}").contains("no such request");
                assert_eq!(exists, methods.split(' ').any(|known| known == method), "{method} {path}");
                let documented = include_str!("../../README.md").contains(&format!("| `{method} {path}` |"));
                assert_eq!(documented, exists, "{method} {path}");
            }
        }
    }
}
