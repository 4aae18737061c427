//! The emulator over HTTP: the API (AWS JSON 1.1) and the instance metadata service, on one loopback port.

use std::{fmt, io, net::SocketAddr};

use http_body_util::{BodyExt, Limited};
use hyper::{
    Method, Request, Response,
    body::Incoming,
    header::{AUTHORIZATION, HeaderMap},
};
use serde_json::{Value as Json, json};
use tokio::{net::TcpListener, task::JoinHandle, time::sleep};

use super::{
    Action, Emulator, Fault, InstanceMetadata,
    server::{accept, serve_http},
    wire::{Wire, answer, broken},
};

const JSON: &str = "application/x-amz-json-1.1";
/// No request of a client is nearly as large.
const MAX_BODY: usize = 1 << 20;

/// An emulator that listens on loopback, until dropped.
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
    /// If the port cannot be opened.
    pub async fn start(emulator: Emulator) -> io::Result<Self> {
        Self::bind(emulator, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Serves the emulator on this address, which must be one of loopback.
    ///
    /// # Errors
    /// If it is not, or the port cannot be opened.
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
                async move { respond(&emulator, &metadata, request).await }
            })
        }));
        Ok(Self { address, emulator, metadata, accepting })
    }

    /// Such as `http://127.0.0.1:4566`: the endpoint of the API, and of the metadata service.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What is served.
    pub fn emulator(&self) -> &Emulator {
        &self.emulator
    }

    /// The metadata service that is served beside it.
    pub fn metadata(&self) -> &InstanceMetadata {
        &self.metadata
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // With its task go the connections.
        self.accepting.abort();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn respond(
    emulator: &Emulator,
    metadata: &InstanceMetadata,
    request: Request<Incoming>,
) -> Option<Response<Wire>> {
    if request.uri().path().starts_with("/latest/") {
        return metadata.respond(&request).await;
    }
    if request.method() != Method::POST {
        return Some(refuse(400, "UnknownOperationException", ""));
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return Some(refuse(400, "SerializationException", ""));
    };
    let request = serde_json::from_slice(&body.to_bytes());
    let (action, request) = match understood(&parts.headers, request) {
        Ok(understood) => understood,
        Err(code) => return Some(refuse(400, code, "")),
    };
    let carry_out = || match emulator.carry_out(action, &request) {
        Ok(reply) => answer(200, JSON, reply.to_string()),
        Err(refusal) => refuse(400, refusal.code, &refusal.message),
    };
    match emulator.begin(action) {
        None => Some(carry_out()),
        Some(Fault::Refuse(code)) => Some(refuse(400, code, "")),
        Some(Fault::Delay(time)) => {
            sleep(time).await;
            Some(carry_out())
        }
        Some(Fault::After(how)) => broken(carry_out(), how).await,
        Some(Fault::Before(how)) => {
            // What comes of a request that was not carried out says nothing true, but shows what it would.
            let reply = match action {
                Action::GetSecretValue => carry_out(),
                _ => answer(200, JSON, request.to_string()),
            };
            broken(reply, how).await
        }
    }
}

fn understood(headers: &HeaderMap, body: serde_json::Result<Json>) -> Result<(Action, Json), &'static str> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !header(AUTHORIZATION.as_str()).starts_with("AWS4-HMAC-SHA256 ") {
        return Err("MissingAuthenticationTokenException");
    }
    let action = Action::of_target(header("x-amz-target")).ok_or("UnknownOperationException")?;
    Ok((action, body.map_err(|_| "SerializationException")?))
}

fn refuse(status: u16, code: &str, message: &str) -> Response<Wire> {
    answer(status, JSON, json!({ "__type": code, "Message": message }).to_string())
}
