//! The instance metadata service, version 2:
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-v2-how-it-works.html>

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hyper::{Method, Request, Response};
use serde_json::json;

use crate::{
    ResponseFault,
    wire::{Wire, answer, damage},
};

const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const LONGEST_TTL: u32 = 21_600;
const REGION: &str = "/latest/meta-data/placement/region";
const DOCUMENT: &str = "/latest/dynamic/instance-identity/document";
const HOST_NAME: &str = "/latest/meta-data/hostname";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
const TOKEN: &str = "/latest/api/token";

/// An instance's metadata, shared by clones. By default, the instance has a role called `ksm`.
#[derive(Clone)]
pub struct InstanceMetadata(Arc<Mutex<State>>);

struct State {
    region: String,
    host_name: String,
    role: Option<[String; 3]>,
    token: String,
    hidden: BTreeSet<&'static str>,
    fault: Option<ResponseFault>,
    calls: usize,
}

impl InstanceMetadata {
    pub(crate) fn new(region: &str) -> Self {
        Self(Arc::new(Mutex::new(State {
            region: region.to_owned(),
            host_name: format!("ip-10-0-0-1.{region}.compute.internal"),
            role: Some(["ASIAEMULATOR", "emulated-secret-key", "emulated-session-token"].map(str::to_owned)),
            token: "emulated-metadata-token".to_owned(),
            hidden: BTreeSet::new(),
            fault: None,
            calls: 0,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the role's access key ID, secret access key and session token; `None` for an instance without a role.
    pub fn set_role(&self, credentials: Option<[&str; 3]>) {
        self.lock().role = credentials.map(|credentials| credentials.map(str::to_owned));
    }

    /// Sets the token that the service issues.
    pub fn set_token(&self, token: &str) {
        token.clone_into(&mut self.lock().token);
    }

    /// Sets the instance's host name.
    pub fn set_host_name(&self, name: &str) {
        name.clone_into(&mut self.lock().host_name);
    }

    /// Answers 404 for the placement, the first of three sources of the region.
    pub fn hide_placement(&self) {
        self.lock().hidden.insert(REGION);
    }

    /// Answers 404 for the identity document, the second source.
    pub fn hide_document(&self) {
        self.lock().hidden.insert(DOCUMENT);
    }

    /// Answers 404 for the host name, the third source.
    pub fn hide_host_name(&self) {
        self.lock().hidden.insert(HOST_NAME);
    }

    /// Damages every response; with `Hang`, the host behaves like one outside EC2.
    pub fn set_fault(&self, fault: Option<ResponseFault>) {
        self.lock().fault = fault;
    }

    /// The number of requests so far.
    pub fn calls(&self) -> usize {
        self.lock().calls
    }

    pub(crate) async fn respond<B>(&self, request: &Request<B>) -> Option<Response<Wire>> {
        let (reply, fault) = {
            let mut state = self.lock();
            state.calls += 1;
            (state.reply(request), state.fault)
        };
        match fault {
            Some(fault) => damage(reply, fault).await,
            None => Some(reply),
        }
    }
}

impl State {
    fn reply<B>(&self, request: &Request<B>) -> Response<Wire> {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let path = request.uri().path();
        if path == TOKEN {
            let ttl = header(TTL).and_then(|ttl| ttl.parse().ok());
            return match ttl {
                Some(1..=LONGEST_TTL) if request.method() == Method::PUT => {
                    let mut reply = answer(200, "text/plain", self.token.clone());
                    if let Some(ttl) = request.headers().get(TTL) {
                        reply.headers_mut().insert(TTL, ttl.clone());
                    }
                    reply
                }
                _ => answer(400, "text/html", "bad request"),
            };
        }
        if header("x-aws-ec2-metadata-token") != Some(&self.token) {
            return answer(401, "text/html", "unauthorized");
        }
        let missing = || answer(404, "text/html", "not found");
        if self.hidden.contains(path) {
            return missing();
        }
        match (path, &self.role) {
            (REGION, _) => answer(200, "text/plain", self.region.clone()),
            (HOST_NAME, _) => answer(200, "text/plain", self.host_name.clone()),
            (DOCUMENT, _) => {
                let document = json!({ "accountId": "123456789012", "region": self.region });
                answer(200, "application/json", document.to_string())
            }
            (ROLES, Some(_)) => answer(200, "text/plain", "ksm"),
            (_, Some([id, key, token])) if path.strip_prefix(ROLES) == Some("ksm") => {
                let credentials = json!({
                    "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z",
                    "AccessKeyId": id, "SecretAccessKey": key, "Token": token, "Expiration": "2099-01-01T00:00:00Z",
                });
                answer(200, "application/json", credentials.to_string())
            }
            _ => missing(),
        }
    }
}

impl fmt::Debug for InstanceMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstanceMetadata").finish_non_exhaustive()
    }
}
