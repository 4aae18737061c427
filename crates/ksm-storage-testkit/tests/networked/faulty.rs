//! A backend with a mistake.

use std::{
    error, fmt,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use ksm_storage_core::{
    Capabilities, Error, ErrorKind, Location, Outcome, Payload, Result, StorageBackend, StoreOutcome, Stored,
    Version, Writes,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

use crate::{
    backend::{Failure, LIMIT, Networked, Reply, loaded, parts, stored, version},
    mistake::Mistake,
    wire,
};

/// A backend for the test server with one mistake.
#[derive(Clone)]
pub(crate) struct Faulty {
    inner: Networked,
    mistake: Mistake,
    seen: Arc<Mutex<LastAnswer>>,
}

/// The last response.
#[derive(Default, Debug)]
struct LastAnswer {
    bytes: Vec<u8>,
    stored: Option<Stored>,
}

impl Faulty {
    pub(crate) fn new(inner: Networked, mistake: Mistake) -> Self {
        Self { inner, mistake, seen: Arc::default() }
    }

    async fn read(&self) -> Result<Stored> {
        use Mistake as M;
        let inner = &self.inner;
        let absent = || Stored::absent(Version::new("0"), "no value");
        match self.mistake {
            M::FailedLoadIsAbsent => Ok(inner.load().await.unwrap_or_else(|_| absent())),
            M::FailedLoadIsNotFound => {
                inner.load().await.map_err(|_| Error::new(ErrorKind::NotFound, "no value"))
            }
            M::AbsentIsEmptyDocument => Ok(match inner.load().await? {
                Stored::Absent { version, .. } => Stored::present(version, "{}"),
                present @ Stored::Present { .. } => present,
            }),
            M::CachesLoad => {
                let cached = self.seen.lock().unwrap().stored.clone();
                match cached {
                    Some(stored) => Ok(stored),
                    None => inner.load().await,
                }
            }
            M::CreatesOnLoad => {
                let found = inner.load().await?;
                if found.payload().is_none() {
                    inner.store(found.version(), &Payload::from("{}")).await?;
                    return inner.load().await;
                }
                Ok(found)
            }
            M::NoTimeLimit => loaded(&unlimited(inner, &inner.message("load", &[])).await?),
            M::RetriesForever => loop {
                match inner.read("load").await {
                    Ok(reply) => return loaded(&reply),
                    Err(_) => sleep(LIMIT / 10).await,
                }
            },
            M::RevisionAsVersion => {
                let reply = inner.read("load").await?;
                match parts(&reply)[..] {
                    [b"found", _, revision, value] => Ok(Stored::present(version(revision)?, value.to_vec())),
                    _ => loaded(&reply).map(|_| absent()),
                }
            }
            M::OneAbsence => {
                let found = inner.load().await?;
                Ok(if found.payload().is_none() { absent() } else { found })
            }
            M::HashAsVersion => {
                let found = inner.load().await?;
                Ok(renamed(hash(found.payload()), found))
            }
            M::Trims | M::Rewrites | M::CutsAtBuffer => Ok(match inner.load().await? {
                Stored::Present { version, payload } => Stored::present(version, self.change(&payload)),
                absent @ Stored::Absent { .. } => absent,
            }),
            M::ReadsReplica => loaded(&inner.read("load-replica").await?),
            M::MixesTwoReads => {
                let (first, second) = (inner.load().await?, inner.load().await?);
                let halves = first.payload().zip(second.payload()).filter(|(first, _)| first.len() > 1024);
                let Some((start, end)) = halves else { return Ok(second) };
                let middle = start.len() / 2;
                let rest = &end.as_bytes()[middle.min(end.len())..];
                let mixed = [&start.as_bytes()[..middle], rest].concat();
                Ok(Stored::present(second.version().clone(), mixed))
            }
            M::VersionAfterPayload => {
                let (found, later) = (inner.load().await?, inner.load().await?);
                Ok(renamed(later.version().clone(), found))
            }
            M::PasswordInError => inner.load().await.map_err(|error| {
                Error::new(error.kind(), format!("{}:{}@{}", inner.table, inner.password, inner.address))
            }),
            M::ServerTextAsMessage | M::ServerTextAsSource => {
                let reply = inner.read("load").await?;
                loaded(&reply).map_err(|error| self.explain(error, &reply))
            }
            _ => inner.load().await,
        }
    }

    async fn write(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        use Mistake as M;
        let inner = &self.inner;
        let (bytes, name) = (payload.as_bytes(), expected.as_str());
        let message = inner.message("store", &[b"modified", name.as_bytes(), bytes]);
        match self.mistake {
            M::ResendsStore => match inner.call(&message).await {
                Ok(reply) => stored(&reply),
                Err(_) => stored(&inner.call(&message).await?),
            },
            M::NoTimeLimit => stored(&unlimited(inner, &message).await?),
            M::RetriesForever => loop {
                match inner.call(&message).await {
                    Err(Failure::NotSent(_)) => sleep(LIMIT / 10).await,
                    end => return stored(&end?),
                }
            },
            M::RevisionAsVersion => {
                let reply = inner.write("revision", name, bytes).await?;
                match parts(&reply)[..] {
                    [b"stored", _, revision] => Ok(StoreOutcome::committed(version(revision)?)),
                    _ => stored(&reply),
                }
            }
            M::OneAbsence if name == "0" => stored(&inner.write("revision", "0", bytes).await?),
            M::HashAsVersion => {
                let found = inner.load().await?;
                if hash(found.payload()) != *expected {
                    return Ok(StoreOutcome::conflict(None));
                }
                Ok(match inner.store(found.version(), payload).await? {
                    StoreOutcome::Committed { .. } => StoreOutcome::committed(hash(Some(payload))),
                    conflict @ StoreOutcome::Conflict { .. } => conflict,
                })
            }
            M::CheckThenWrite => {
                if inner.load().await?.version() != expected {
                    return Ok(StoreOutcome::conflict(None));
                }
                stored(&inner.write("any", "0", bytes).await?)
            }
            M::FullIsCommitted => {
                let reply = inner.write("modified", name, bytes).await?;
                match parts(&reply)[..] {
                    [b"full", ..] => Ok(StoreOutcome::committed(Version::new("unknown"))),
                    _ => stored(&reply),
                }
            }
            M::IgnoresExpected => stored(&inner.write("any", "0", bytes).await?),
            M::RetriesConflict => match inner.store(expected, payload).await? {
                StoreOutcome::Conflict { .. } => inner.store(inner.load().await?.version(), payload).await,
                committed @ StoreOutcome::Committed { .. } => Ok(committed),
            },
            M::ConflictIsError => match inner.store(expected, payload).await? {
                StoreOutcome::Conflict { .. } => {
                    Err(Error::new(ErrorKind::Conflict, "the value has changed")
                        .with_outcome(Outcome::NotApplied))
                }
                committed @ StoreOutcome::Committed { .. } => Ok(committed),
            },
            M::CreatesOnConflict => match inner.store(expected, payload).await? {
                StoreOutcome::Conflict { .. } => stored(&inner.write("revision", "0", bytes).await?),
                committed @ StoreOutcome::Committed { .. } => Ok(committed),
            },
            M::CommittedBeforeAnswer => {
                let inner = inner.clone();
                tokio::spawn(async move { inner.call(&message).await });
                let next = wire::number(name.as_bytes()).map_or(0, |number| number + 1);
                Ok(StoreOutcome::committed(Version::new(next.to_string())))
            }
            M::ReturnsExpected => Ok(match inner.store(expected, payload).await? {
                StoreOutcome::Committed { .. } => StoreOutcome::committed(expected.clone()),
                conflict @ StoreOutcome::Conflict { .. } => conflict,
            }),
            M::WritesTwice if bytes.len() > 1024 => {
                let (start, rest) = bytes.split_at(bytes.len() / 2);
                let first = stored(&inner.write("modified", name, start).await?)?;
                if matches!(first, StoreOutcome::Conflict { .. }) {
                    return Ok(first);
                }
                stored(&inner.call(&inner.message("append", &[rest])).await?)
            }
            _ => self.explained(expected, payload).await,
        }
    }

    /// A correct write, whose failure is reported incorrectly.
    async fn explained(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        use Mistake as M;
        let inner = &self.inner;
        let bytes = payload.as_bytes();
        match self.mistake {
            M::PasswordInError => inner.store(expected, payload).await.map_err(|error| {
                Error::new(error.kind(), format!("{}:{}@{}", inner.table, inner.password, inner.address))
                    .with_outcome(error.outcome())
            }),
            M::ServerTextAsMessage | M::ServerTextAsSource => {
                let reply = inner.write("modified", expected.as_str(), bytes).await?;
                stored(&reply).map_err(|error| self.explain(error, &reply))
            }
            M::RequestAsDeepSource => inner.store(expected, payload).await.map_err(|error| {
                error.with_source(io::Error::other(Outer(Inner(format!("request {bytes:?} failed")))))
            }),
            M::PanicsWithRequest => match inner.store(expected, payload).await {
                Err(error) => panic!("{error} in {}", String::from_utf8_lossy(bytes)),
                end => end,
            },
            M::NotAppliedAlways => {
                inner.store(expected, payload).await.map_err(|error| error.with_outcome(Outcome::NotApplied))
            }
            M::NotAppliedOnTimeout => {
                inner.store(expected, payload).await.map_err(|error| match error.kind() {
                    ErrorKind::Timeout => error.with_outcome(Outcome::NotApplied),
                    _ => error,
                })
            }
            _ => inner.store(expected, payload).await,
        }
    }

    /// The payload that the backend sends.
    fn change(&self, payload: &Payload) -> Payload {
        let bytes = payload.as_bytes();
        match self.mistake {
            Mistake::Trims => Payload::from(bytes.trim_ascii().to_vec()),
            Mistake::Rewrites => match serde_json::from_slice::<serde_json::Value>(bytes) {
                Ok(value) => Payload::from(value.to_string()),
                Err(_) => payload.clone(),
            },
            _ => Payload::from(bytes[..bytes.len().min(4096)].to_vec()),
        }
    }

    /// Adds the server's text to the error.
    fn explain(&self, error: Error, reply: &Reply) -> Error {
        let text = reply.get(1).map(|text| String::from_utf8_lossy(text).into_owned());
        let Some(text) = text else { return error };
        match self.mistake {
            Mistake::ServerTextAsMessage => Error::new(error.kind(), text).with_outcome(error.outcome()),
            _ => error.with_source(io::Error::other(text)),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "stands for an event of a third-party backend")]
    fn log(&self, payload: &Payload) {
        let bytes = payload.as_bytes();
        match self.mistake {
            Mistake::LogsPayload => tracing::debug!(value = %String::from_utf8_lossy(bytes), "payload"),
            Mistake::LogsBytes => tracing::trace!(value = ?bytes, "payload"),
            _ => {}
        }
    }
}

/// Makes a call without a time limit.
async fn unlimited(inner: &Networked, message: &[u8]) -> Result<Reply, Failure> {
    let lost = |error: io::Error| Failure::Lost(error.kind());
    let connected = TcpStream::connect(&inner.address).await;
    let mut stream = connected.map_err(|error| Failure::NotSent(error.kind()))?;
    stream.write_all(message).await.map_err(lost)?;
    let length = stream.read_u32().await.map_err(lost)?;
    let mut body = vec![0; usize::try_from(length.min(1 << 20)).unwrap()];
    stream.read_exact(&mut body).await.map_err(lost)?;
    wire::decode(&body).ok_or(Failure::Malformed)
}

/// The same content with another version.
fn renamed(version: Version, found: Stored) -> Stored {
    match found {
        Stored::Present { payload, .. } => Stored::present(version, payload),
        Stored::Absent { absence, .. } => Stored::absent(version, absence),
    }
}

fn hash(payload: Option<&Payload>) -> Version {
    let mut hasher = DefaultHasher::new();
    payload.map(Payload::as_bytes).hash(&mut hasher);
    Version::new(hasher.finish().to_string())
}

/// An error that displays only the text of its source.
#[derive(Debug)]
struct Outer(Inner);

#[derive(Debug)]
struct Inner(String);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request failed")
    }
}

impl error::Error for Outer {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.0)
    }
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for Inner {}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mistake == Mistake::DerivedDebug {
            return self.seen.lock().unwrap().fmt(f);
        }
        self.inner.fmt(f)
    }
}

#[async_trait]
impl StorageBackend for Faulty {
    fn location(&self) -> Location {
        let Networked { address, table, password } = &self.inner;
        match self.mistake {
            Mistake::PasswordInLocation => {
                Location::new("networked", format!("{table}:{password}@{address}"))
            }
            _ => self.inner.location(),
        }
    }

    fn capabilities(&self) -> Capabilities {
        match self.mistake {
            Mistake::DeclaresTooMuch => {
                Capabilities::new(Writes::Exact).max_payload(2 * crate::server::LARGEST)
            }
            Mistake::ConfirmsStale => self.inner.capabilities().stale_reads(),
            _ => self.inner.capabilities(),
        }
    }

    async fn load(&self) -> Result<Stored> {
        let found = self.read().await?;
        if let Some(payload) = found.payload() {
            self.log(payload);
        }
        let mut seen = self.seen.lock().unwrap();
        seen.bytes = found.payload().map(|payload| payload.as_bytes().to_vec()).unwrap_or_default();
        seen.stored = Some(found.clone());
        Ok(found)
    }

    async fn confirm(&self, version: &Version) -> Result<bool> {
        self.inner.confirm(version).await
    }

    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        let outcome = self.write(expected, payload).await?;
        if let StoreOutcome::Committed { version, .. } = &outcome {
            let stored = Stored::present(version.clone(), payload.clone());
            self.seen.lock().unwrap().stored = Some(stored);
        }
        Ok(outcome)
    }
}
