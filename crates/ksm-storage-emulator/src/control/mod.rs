//! Controls the emulators over HTTP, for tests in any language; and the program that serves this API.
//!
#![doc = include_str!("../../README.md")]

mod parse;
mod routes;

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use http_body_util::{BodyExt, Limited};
use hyper::{Request, Response, StatusCode, body::Incoming};
use serde_json::{Value as Json, json};
use tokio::{net::TcpListener, task::JoinHandle};

use self::routes::World;
use crate::{
    Server,
    keeper::FakeKeeper,
    server::{accept, serve_http},
    wire::{Wire, answer},
};

const MAX_BODY: usize = 1 << 20;

/// A request that cannot be carried out.
#[derive(Debug)]
pub(crate) struct Rejected(StatusCode, String);

impl Rejected {
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, message.into())
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self(StatusCode::NOT_FOUND, message.into())
    }
}

/// The control endpoint on a free port of 127.0.0.1, served until it is dropped.
pub struct ControlServer {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl ControlServer {
    /// Controls the emulator that `server` serves and, if there is one, the fake Keeper service.
    ///
    /// # Errors
    /// An I/O error if the port cannot be opened.
    pub async fn start(server: &Server, keeper: Option<Arc<FakeKeeper>>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let world =
            World { emulator: server.emulator().clone(), metadata: server.metadata().clone(), keeper };
        let world = Arc::new(world);
        let accepting = tokio::spawn(accept(listener, move |stream, _| {
            let world = Arc::clone(&world);
            serve_http(stream, move |request| respond(Arc::clone(&world), request))
        }));
        Ok(Self { address, accepting })
    }

    /// The URL, such as `http://127.0.0.1:4567`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl fmt::Debug for ControlServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlServer").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn respond(world: Arc<World>, request: Request<Incoming>) -> Option<Response<Wire>> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await.ok()?.to_bytes();
    let body = if body.is_empty() { Ok(Json::Null) } else { serde_json::from_slice(&body) };
    let replied = body
        .map_err(|error| Rejected::bad_request(format!("the body is not JSON: {error}")))
        .and_then(|body| world.handle(&parts.method, parts.uri.path(), &body));
    let (status, reply) = match replied {
        Ok(reply) => (StatusCode::OK, reply),
        Err(Rejected(status, message)) => (status, json!({ "error": message })),
    };
    Some(answer(status.as_u16(), "application/json", reply.to_string()))
}
