//! The accept loop of every server in this crate: HTTP/1.1 connections on loopback.

use std::{io, net::SocketAddr};

use hyper::{
    Request, Response,
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Serves each connection in its own task; dropping the future ends them all.
pub(crate) async fn accept<S>(listener: TcpListener, serve: impl Fn(TcpStream, SocketAddr) -> S)
where
    S: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, peer)) = listener.accept().await else { continue };
        // With Nagle's algorithm, a reply in two segments waits for a delayed acknowledgement: 40 ms.
        let _ = stream.set_nodelay(true);
        while connections.try_join_next().is_some() {}
        connections.spawn(serve(stream, peer));
    }
}

/// Answers the requests of one connection. `None` resets it without a reply.
pub(crate) async fn serve_http<R, B>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    respond: impl Fn(Request<Incoming>) -> R,
) where
    R: Future<Output = Option<Response<B>>>,
    B: Body<Error: std::error::Error + Send + Sync> + 'static,
{
    let service = service_fn(|request| {
        let response = respond(request);
        async move { response.await.ok_or(io::Error::from(io::ErrorKind::ConnectionReset)) }
    });
    // A broken connection is the client's concern.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
