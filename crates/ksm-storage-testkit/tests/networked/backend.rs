//! A correct backend for the test server.

use std::{fmt, io, time::Duration};

use async_trait::async_trait;
use ksm_storage_core::{
    Absence, Capabilities, Error, ErrorKind, Location, Outcome, Payload, Result, StorageBackend,
    StoreOutcome, Stored, Version, Writes,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{server, wire};

/// The time limit of an attempt: once to connect, and again to get a response.
pub(crate) const LIMIT: Duration = Duration::from_millis(400);
/// The number of attempts to load, or to connect for a store.
const ATTEMPTS: usize = 3;
const PAUSE: Duration = Duration::from_millis(20);

/// A table of the server.
#[derive(Clone)]
pub(crate) struct Networked {
    pub(crate) address: String,
    pub(crate) table: String,
    pub(crate) password: String,
}

/// A call without a usable response. It holds nothing of the request or the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing was sent.
    NotSent(io::ErrorKind),
    /// The request was sent, at least in part.
    Lost(io::ErrorKind),
    /// The response is malformed.
    Malformed,
}

pub(crate) type Reply = Vec<Vec<u8>>;

impl Networked {
    pub(crate) fn new(address: impl Into<String>, table: &str) -> Self {
        Self { address: address.into(), table: table.to_owned(), password: server::PASSWORD.to_owned() }
    }

    pub(crate) fn message(&self, operation: &str, arguments: &[&[u8]]) -> Vec<u8> {
        let mut parts = vec![operation.as_bytes(), self.password.as_bytes(), self.table.as_bytes()];
        parts.extend(arguments);
        wire::encode(&parts)
    }

    /// Makes one attempt.
    pub(crate) async fn call(&self, message: &[u8]) -> Result<Reply, Failure> {
        let connected = timeout(LIMIT, TcpStream::connect(&self.address)).await;
        let mut stream = connected
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| Failure::NotSent(error.kind()))?;
        let body = timeout(LIMIT, exchange(&mut stream, message)).await;
        let body = body
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| Failure::Lost(error.kind()))?;
        wire::decode(&body).ok_or(Failure::Malformed)
    }

    /// Makes a call that may be repeated after any failed attempt.
    pub(crate) async fn read(&self, operation: &str) -> Result<Reply, Failure> {
        let message = self.message(operation, &[]);
        let mut failure = Failure::Malformed;
        for _ in 0..ATTEMPTS {
            match self.call(&message).await {
                Ok(reply) => return Ok(reply),
                // Another attempt would take just as long.
                Err(
                    timed_out @ (Failure::Lost(io::ErrorKind::TimedOut)
                    | Failure::NotSent(io::ErrorKind::TimedOut)),
                ) => {
                    return Err(timed_out);
                }
                Err(other) => failure = other,
            }
            sleep(PAUSE).await;
        }
        Err(failure)
    }

    /// Makes a call that is repeated only if nothing was sent.
    pub(crate) async fn write(&self, column: &str, expected: &str, payload: &[u8]) -> Result<Reply, Failure> {
        let message = self.message("store", &[column.as_bytes(), expected.as_bytes(), payload]);
        for _ in 1..ATTEMPTS {
            match self.call(&message).await {
                Err(Failure::NotSent(kind)) if kind != io::ErrorKind::TimedOut => sleep(PAUSE).await,
                end => return end,
            }
        }
        self.call(&message).await
    }
}

async fn exchange(stream: &mut TcpStream, message: &[u8]) -> io::Result<Vec<u8>> {
    stream.set_nodelay(true)?;
    stream.write_all(message).await?;
    let length = usize::try_from(stream.read_u32().await?).map_err(io::Error::other)?;
    if length > 2 * server::LARGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

/// The content in the server's response.
pub(crate) fn loaded(reply: &[Vec<u8>]) -> Result<Stored> {
    match parts(reply)[..] {
        [b"found", modified, _, value] => Ok(Stored::present(version(modified)?, value.to_vec())),
        [b"empty", modified] => Ok(Stored::absent(version(modified)?, "the table has no value")),
        // A version that no table has, so that no store on it succeeds.
        [b"missing"] => Ok(Stored::absent(Version::new("no-table"), missing())),
        _ => Err(rejected(reply)),
    }
}

/// The result of a write conditional on `modified`.
pub(crate) fn stored(reply: &[Vec<u8>]) -> Result<StoreOutcome> {
    match parts(reply)[..] {
        [b"stored", modified, _] => Ok(StoreOutcome::committed(version(modified)?)),
        [b"mismatch"] => Ok(StoreOutcome::conflict(None)),
        [b"missing"] => Err(missing().into()),
        _ => Err(rejected(reply)),
    }
}

pub(crate) fn parts(reply: &[Vec<u8>]) -> Vec<&[u8]> {
    reply.iter().map(Vec::as_slice).collect()
}

/// The version for a number of the server.
pub(crate) fn version(number: &[u8]) -> Result<Version> {
    let number = wire::number(number).ok_or_else(unexpected)?;
    Ok(Version::new(number.to_string()))
}

fn missing() -> Absence {
    Absence::new("no such table").with_hint("create the table")
}

/// The error for a response that is a rejection or malformed.
pub(crate) fn rejected(reply: &[Vec<u8>]) -> Error {
    let (kind, message) = match reply.first().map(Vec::as_slice) {
        Some(b"denied") => (ErrorKind::AccessDenied, "the server denies access to the table"),
        Some(b"too-large") => (ErrorKind::TooLarge, "the value is longer than the server accepts"),
        Some(b"full") => (ErrorKind::Unavailable, "the server has no space"),
        _ => return unexpected(),
    };
    Error::new(kind, message).with_outcome(Outcome::NotApplied)
}

fn unexpected() -> Error {
    Error::new(ErrorKind::Unexpected, "the server answered with something else than its protocol allows")
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotSent(io::ErrorKind::TimedOut) => {
                Self::new(ErrorKind::Timeout, "no connection within 400 ms").with_outcome(Outcome::NotApplied)
            }
            Failure::NotSent(kind) => Self::new(ErrorKind::Unavailable, format!("cannot connect: {kind}"))
                .with_outcome(Outcome::NotApplied),
            Failure::Lost(io::ErrorKind::TimedOut) => {
                Self::new(ErrorKind::Timeout, "no answer within 400 ms")
            }
            Failure::Lost(kind) => Self::new(ErrorKind::Unavailable, format!("connection lost: {kind}")),
            Failure::Malformed => unexpected(),
        }
    }
}

impl fmt::Debug for Networked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Networked")
            .field("address", &self.address)
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl StorageBackend for Networked {
    fn location(&self) -> Location {
        Location::new("networked", format!("{}/{}", self.address, self.table))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Writes::Exact).max_payload(server::LARGEST)
    }

    async fn load(&self) -> Result<Stored> {
        loaded(&self.read("load").await?)
    }

    async fn confirm(&self, _: &Version) -> Result<bool> {
        Ok(true)
    }

    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        stored(&self.write("modified", expected.as_str(), payload.as_bytes()).await?)
    }
}
