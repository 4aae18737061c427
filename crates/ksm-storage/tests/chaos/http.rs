//! HTTP requests and replies, one per connection.

use std::net::SocketAddr;

use serde_json::{Value as Json, json};
use tokio::{
    io::{self, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

const TARGET: &str = "x-amz-target";

#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) action: String,
    pub(crate) body: Json,
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(action: &str, body: Json) -> Self {
        Self { action: action.to_owned(), body }
    }

    /// Reads the next request of a connection, if there is one.
    pub(crate) async fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut stream = BufReader::new(stream);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).ok()?;
        let header = |name: &str| {
            let mut headers = head.lines().filter_map(|line| line.split_once(':'));
            headers.find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
        };
        let action = header(TARGET)?.strip_prefix("secretsmanager.")?;
        let mut body = vec![0; header("content-length")?.parse().ok()?];
        stream.read_exact(&mut body).await.ok()?;
        Some(Self::new(action, serde_json::from_slice(&body).ok()?))
    }

    pub(crate) fn field(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_default()
    }

    /// Returns true for a put that is not staged, and for a move.
    pub(crate) fn makes_current(&self) -> bool {
        match &*self.action {
            "PutSecretValue" => self.body["VersionStages"].is_null(),
            action => action == "UpdateSecretVersionStage",
        }
    }

    /// Sends the request on a new connection. The emulator does not verify signatures.
    pub(crate) async fn send(&self, to: SocketAddr) -> io::Result<Reply> {
        let mut stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let (action, body) = (&self.action, self.body.to_string());
        let length = body.len();
        let text = format!(
            "POST / HTTP/1.1\r\nhost: {to}\r\nauthorization: AWS4-HMAC-SHA256 chaos\r\n\
             {TARGET}: secretsmanager.{action}\r\ncontent-type: application/x-amz-json-1.1\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        stream.write_all(text.as_bytes()).await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        Reply::parse(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

impl Reply {
    pub(crate) fn error(status: u16, code: &str) -> Self {
        Self { status, body: json!({ "__type": code, "Message": "" }).to_string().into_bytes() }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let status = std::str::from_utf8(bytes.get(9..12)?).ok()?.parse().ok()?;
        Some(Self { status, body: bytes[end + 4..].to_vec() })
    }

    pub(crate) fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Writes the head, and `bytes` bytes of the body.
    pub(crate) async fn write(&self, stream: &mut TcpStream, bytes: usize) -> io::Result<()> {
        let head = format!(
            "HTTP/1.1 {} -\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n",
            self.status,
            self.body.len()
        );
        stream.write_all(&[head.as_bytes(), &self.body[..bytes]].concat()).await?;
        stream.shutdown().await
    }
}
