//! HTTPS on loopback.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, mpsc},
};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response,
    body::{Bytes, Incoming},
    header::AUTHORIZATION,
};
use tokio::{net::TcpListener, sync::oneshot};
use tokio_rustls::TlsAcceptor;

use super::{
    lock,
    service::{Answer, Call, Service},
};
use crate::server::{accept, serve_http};

/// No request of the SDK is nearly as large.
const MAX_BODY: usize = 1 << 22;

/// Serves until `stopped`.
pub(super) async fn serve(
    service: Arc<Mutex<Service>>,
    tls: TlsAcceptor,
    ready: mpsc::Sender<io::Result<SocketAddr>>,
    stopped: oneshot::Receiver<()>,
) -> Option<()> {
    let bound = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await;
    let (listener, address) = match bound.and_then(|listener| Ok((listener.local_addr()?, listener))) {
        Ok((address, listener)) => (listener, address),
        Err(error) => return ready.send(Err(error)).ok(),
    };
    ready.send(Ok(address)).ok()?;
    tokio::spawn(accept(listener, move |stream, peer| {
        let (tls, service) = (tls.clone(), Arc::clone(&service));
        async move {
            // A client that rejects the certificate closes the connection.
            let Ok(stream) = tls.accept(stream).await else { return };
            serve_http(stream, |request| respond(&service, peer, request)).await;
        }
    }));
    // Waits until the sender is dropped; dropping the runtime then ends the connections.
    let _ = stopped.await;
    None
}

async fn respond(
    service: &Mutex<Service>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Option<Response<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    let header =
        |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let body = Limited::new(body, MAX_BODY).collect().await.ok()?.to_bytes();
    let action = parts.uri.path().rsplit('/').next().unwrap_or_default();
    let answer = if parts.method == Method::GET {
        lock(service).file(action)
    } else if action == "upload" {
        lock(service).upload()
    } else {
        lock(service).answer(&Call {
            action,
            key_id: header("PublicKeyId"),
            wrapped_key: header("TransmissionKey"),
            signature: header(AUTHORIZATION.as_str()).strip_prefix("Signature ").unwrap_or_default(),
            body: &body,
            peer: peer.ip(),
        })
    };
    let (status, body) = match answer {
        Answer::Reply(status, body) => (status, body),
        Answer::Disconnect => return None,
        Answer::Hang => std::future::pending().await,
    };
    Response::builder().status(status).body(Full::new(body.into())).ok()
}
