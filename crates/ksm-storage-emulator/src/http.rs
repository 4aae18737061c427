//! The emulated AWS services over HTTP, on one loopback port.

use std::{fmt, io, net::SocketAddr};

use aws_smithy_types::{DateTime, date_time::Format};
use http_body_util::{BodyExt, Limited};
use hyper::{
    Method, Request, Response,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap},
};
use serde_json::{Value as Json, json};
use tokio::{net::TcpListener, task::JoinHandle, time::sleep};

// The services in `sso` and `sts` apply faults by `with_fault`, and are called from here: hence two cycles of modules.
use crate::{
    Action, ApiError, Emulator, Fault, InstanceMetadata,
    server::{accept, serve_http},
    sso, sts,
    wire::{Wire, answer, damage},
};

const JSON: &str = "application/x-amz-json-1.1";
/// No request of a client is nearly as large.
const MAX_BODY: usize = 1 << 20;

/// An emulator that listens on loopback until it is dropped.
pub struct Server {
    address: SocketAddr,
    emulator: Emulator,
    metadata: InstanceMetadata,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Serves the emulator on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// An I/O error if the port cannot be opened.
    pub async fn start(emulator: Emulator) -> io::Result<Self> {
        Self::bind(emulator, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Serves the emulator on this address, which must be a loopback address.
    ///
    /// # Errors
    /// An I/O error if it is not, or if the port cannot be opened.
    pub async fn bind(emulator: Emulator, address: SocketAddr) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "an emulator listens on loopback only"));
        }
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let metadata = InstanceMetadata::new(emulator.region());
        let served = (emulator.clone(), metadata.clone());
        let accepting = tokio::spawn(accept(listener, move |stream, _| {
            let served = served.clone();
            serve_http(stream, move |request| {
                let (emulator, metadata) = served.clone();
                async move {
                    let response = respond(&emulator, &metadata, request).await?;
                    Some(dated(response, &emulator))
                }
            })
        }));
        Ok(Self { address, emulator, metadata, accepting })
    }

    /// The endpoint of Secrets Manager, STS, the SSO portal and instance metadata, such as `http://127.0.0.1:4566`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The emulator that is served.
    pub fn emulator(&self) -> &Emulator {
        &self.emulator
    }

    /// The metadata service on the same port.
    pub fn metadata(&self) -> &InstanceMetadata {
        &self.metadata
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The connections end with the task.
        self.accepting.abort();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Adds the emulator's time, which lets clients detect a wrong clock of their own.
fn dated(mut response: Response<Wire>, emulator: &Emulator) -> Response<Wire> {
    let now = emulator.lock().clock.now();
    let date = i64::try_from(now.as_secs()).ok().map(DateTime::from_secs);
    let header = date.and_then(|date| date.fmt(Format::HttpDate).ok()?.parse().ok());
    if let Some(header) = header {
        response.headers_mut().insert(DATE, header);
    }
    response
}

async fn respond(
    emulator: &Emulator,
    metadata: &InstanceMetadata,
    request: Request<Incoming>,
) -> Option<Response<Wire>> {
    let path = request.uri().path();
    if path.starts_with("/latest/") {
        return metadata.respond(&request).await;
    }
    if path == sso::PATH {
        return sso::respond(emulator, &request).await;
    }
    if request.method() != Method::POST {
        return Some(failure(&ApiError::new("UnknownOperationException", "")));
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return Some(failure(&ApiError::new("SerializationException", "")));
    };
    let body = body.to_bytes();
    let of_region = signed_region(&parts.headers).and_then(|region| emulator.of_region(region));
    let emulator = of_region.as_ref().unwrap_or(emulator);
    if header(&parts.headers, CONTENT_TYPE.as_str()).starts_with("application/x-www-form-urlencoded") {
        return sts::respond(emulator, &parts.headers, &body).await;
    }
    let (action, request) = match parsed(&parts.headers, &body) {
        Ok(parsed) => parsed,
        Err(code) => return Some(failure(&ApiError::new(code, ""))),
    };
    let carry_out = || match emulator.carry_out(action, &request) {
        Ok(reply) => answer(200, JSON, reply.to_string()),
        Err(error) => failure(&error),
    };
    // A request that is not carried out gets a dummy response.
    let skip = || match action {
        Action::GetSecretValue => carry_out(),
        _ => answer(200, JSON, request.to_string()),
    };
    with_fault(emulator.begin(action), carry_out, skip, failure).await
}

/// The response to a call with this fault. `None` resets the connection.
pub(crate) async fn with_fault(
    fault: Option<Fault>,
    carry_out: impl FnOnce() -> Response<Wire>,
    skip: impl FnOnce() -> Response<Wire>,
    failure: impl FnOnce(&ApiError) -> Response<Wire>,
) -> Option<Response<Wire>> {
    match fault {
        None => Some(carry_out()),
        Some(Fault::Refuse(code)) => Some(failure(&ApiError::new(code, ""))),
        Some(Fault::Delay(time)) => {
            sleep(time).await;
            Some(carry_out())
        }
        Some(Fault::After(fault)) => damage(carry_out(), fault).await,
        Some(Fault::Before(fault)) => damage(skip(), fault).await,
    }
}

fn parsed(headers: &HeaderMap, body: &[u8]) -> Result<(Action, Json), &'static str> {
    if !header(headers, AUTHORIZATION.as_str()).starts_with("AWS4-HMAC-SHA256 ") {
        return Err("MissingAuthenticationTokenException");
    }
    let target = header(headers, "x-amz-target").strip_prefix("secretsmanager.");
    let action = target.and_then(Action::from_name).filter(|action| action.service() == "secretsmanager");
    let action = action.ok_or("UnknownOperationException")?;
    Ok((action, serde_json::from_slice(body).map_err(|_| "SerializationException")?))
}

/// The region in the scope of the credentials that signed a request.
fn signed_region(headers: &HeaderMap) -> Option<&str> {
    header(headers, AUTHORIZATION.as_str()).split_once("Credential=")?.1.split('/').nth(2)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn failure(error: &ApiError) -> Response<Wire> {
    answer(400, JSON, json!({ "__type": error.code, "Message": error.message }).to_string())
}
