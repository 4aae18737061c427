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
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivatePkcs8KeyDer},
};

use super::{
    lock,
    service::{Answer, Call, Service},
};

/// No request of the SDK is nearly as large.
const MAX_BODY: usize = 1 << 22;

/// A certificate for this run.
pub(super) fn tls() -> io::Result<TlsAcceptor> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).map_err(io::Error::other)?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .map_err(io::Error::other)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

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
    tokio::spawn(accept(listener, service, tls));
    // The end of the sender is what is waited for; with the runtime go the connections.
    let _ = stopped.await;
    None
}

async fn accept(listener: TcpListener, service: Arc<Mutex<Service>>, tls: TlsAcceptor) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        connections.spawn(connection(stream, tls.clone(), Arc::clone(&service)));
    }
}

async fn connection(stream: TcpStream, tls: TlsAcceptor, service: Arc<Mutex<Service>>) {
    let _ = stream.set_nodelay(true);
    // A connection that breaks is the client's affair.
    let Ok(stream) = tls.accept(stream).await else { return };
    let respond = service_fn(move |request| {
        let service = Arc::clone(&service);
        // An error ends the connection without an answer.
        async move { respond(&service, request).await.ok_or(io::Error::from(io::ErrorKind::ConnectionReset)) }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), respond).await;
}

async fn respond(service: &Mutex<Service>, request: Request<Incoming>) -> Option<Response<Full<Bytes>>> {
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
        })
    };
    let (status, body) = match answer {
        Answer::Reply(status, body) => (status, body),
        Answer::Break => return None,
        Answer::Hang => std::future::pending().await,
    };
    Response::builder().status(status).body(Full::new(body.into())).ok()
}
