//! A minimal HTTP server, as a fake of an AWS service.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

pub(crate) struct Request {
    /// Method and path.
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        headers.filter(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }
}

/// Serves on loopback until the test ends, one request per connection. Returns `HOST:PORT`. If `answer` returns `None`,
/// the request is never answered.
pub(crate) async fn serve(answer: impl Fn(Request) -> Option<String> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                // A client may open a connection without using it.
                let Some(request) = read(&mut stream).await else { return };
                match answer(request) {
                    Some(reply) => stream.write_all(reply.as_bytes()).await.unwrap(),
                    None => std::future::pending().await,
                }
            });
        }
    });
    address
}

/// Builds a response; `headers` are complete lines.
pub(crate) fn reply(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} -\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let line = head.lines().next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let mut request = Request { line, head, body: String::new() };
    let length = request.header("content-length").map_or(Some(0), |length| length.parse().ok())?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    request.body = String::from_utf8(body).ok()?;
    Some(request)
}
