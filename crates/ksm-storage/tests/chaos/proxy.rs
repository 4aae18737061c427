//! The proxy between writers and emulator, which injects faults and records every current version.

use std::{
    collections::HashMap,
    net::SocketAddr,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use fastrand::Rng;
use serde_json::json;
use tokio::{
    io::{self, AsyncReadExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    fault::Fault,
    http::{Reply, Request},
    now,
};

/// The share of requests that meet a fault, in percent.
const FAULTY: u8 = 30;
/// The share of reads by label that start a period of stale reads for that writer, in percent.
const STALE: u8 = 6;
/// The maximum length of such a period, and the maximum lag at its start, in milliseconds: 10 s together.
const LAG: u64 = 5_000;
/// The latency of every request as an exponent of two, in milliseconds. Mostly short but sometimes long, so that one
/// writer makes several calls during a single call of another.
const LATENCY: Range<u32> = 0..9;
/// The range of delays for requests that are held back, in milliseconds.
const DELAY: Range<u64> = 20..3_000;
const REORDER: Duration = Duration::from_millis(400);
/// The time limit of waiting for a write. Slow writers may not send one for long.
const WRITE: Duration = Duration::from_secs(1);
const CURRENT: &str = "AWSCURRENT";

/// A version that became current.
pub(crate) struct Entry {
    pub(crate) at: u64,
    pub(crate) id: String,
    pub(crate) value: String,
    /// The kind of request that made it current.
    pub(crate) by: &'static str,
    pub(crate) foreign: bool,
}

/// A fault that a request of this writer met.
pub(crate) struct Met {
    pub(crate) writer: usize,
    pub(crate) at: u64,
    pub(crate) fault: Fault,
}

pub(crate) struct Proxy {
    upstream: SocketAddr,
    state: Mutex<State>,
    /// Serializes deliveries, so that the record is in their order.
    order: tokio::sync::Mutex<()>,
    delivered: watch::Sender<u64>,
    /// The writer that sent the latest request that makes a version current.
    writing: watch::Sender<usize>,
    connections: watch::Sender<usize>,
}

struct State {
    rng: Rng,
    calm: bool,
    values: HashMap<String, String>,
    history: Vec<Entry>,
    met: Vec<Met>,
    /// By writer: the version that reads by label return, and until when.
    stale: HashMap<usize, (String, u64)>,
}

/// The sender of a delivered request.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Sender {
    Writer,
    Foreign,
}

impl Proxy {
    /// Creates the proxy; `first` is the ID of the initial version.
    pub(crate) fn new(upstream: SocketAddr, first: String, seed: u64) -> Arc<Self> {
        let first = Entry { at: now(), id: first, value: "{}".into(), by: "setup", foreign: false };
        let state = State {
            rng: Rng::with_seed(seed),
            calm: false,
            values: HashMap::new(),
            history: vec![first],
            met: Vec::new(),
            stale: HashMap::new(),
        };
        Arc::new(Self {
            upstream,
            state: Mutex::new(state),
            order: tokio::sync::Mutex::default(),
            delivered: watch::Sender::new(0),
            writing: watch::Sender::new(0),
            connections: watch::Sender::new(0),
        })
    }

    /// Opens a port for one writer, and returns its URL.
    pub(crate) async fn listen(self: &Arc<Self>, writer: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let proxy = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let proxy = Arc::clone(&proxy);
                proxy.connections.send_modify(|connections| *connections += 1);
                tokio::spawn(async move {
                    // A broken connection is handled by the writer.
                    let _ = proxy.serve(writer, stream).await;
                    proxy.connections.send_modify(|connections| *connections -= 1);
                });
            }
        });
        url
    }

    /// Waits until a writer sends a request that makes a version current, and is not delivered yet.
    pub(crate) async fn next_write(&self) -> Option<usize> {
        let mut writing = self.writing.subscribe();
        timeout(WRITE, writing.changed()).await.ok()?.ok()?;
        Some(*writing.borrow())
    }

    /// Stops injecting faults. Faults that requests have already met continue.
    pub(crate) fn calm(&self) {
        self.state().calm = true;
    }

    /// Waits until no request is held back any more, and returns the versions and faults.
    pub(crate) async fn finish(&self) -> (Vec<Entry>, Vec<Met>) {
        self.connections.subscribe().wait_for(|&connections| connections == 0).await.unwrap();
        let mut state = self.state();
        state.values.clear();
        (std::mem::take(&mut state.history), std::mem::take(&mut state.met))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn random(&self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.state().rng.u64(range))
    }

    fn latency(&self) -> Duration {
        Duration::from_millis(1 << self.state().rng.u32(LATENCY))
    }

    async fn serve(&self, writer: usize, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let Some(mut request) = Request::read(&mut stream).await else { return Ok(()) };
        if request.makes_current() {
            self.writing.send_replace(writer);
        }
        let stale = self.state().age(writer, &mut request);
        let fault = self.state().fault(writer);
        if !self.state().calm {
            sleep(self.latency()).await;
        }
        let deliver = async || {
            let mut reply = self.deliver(&request, Sender::Writer).await?;
            if stale && reply.status == 200 {
                let mut body = reply.json();
                body["VersionStages"] = json!([CURRENT]);
                reply.body = body.to_string().into_bytes();
            }
            Ok::<_, io::Error>(reply)
        };
        let reply = match fault {
            None => deliver().await?,
            Some(Fault::RequestDropped) => return silence(stream).await,
            Some(Fault::ReplyDropped) => {
                deliver().await?;
                return silence(stream).await;
            }
            Some(Fault::ResetBefore) => return stream.set_zero_linger(),
            Some(Fault::ResetAfter) => {
                deliver().await?;
                return stream.set_zero_linger();
            }
            Some(Fault::DuplicatedFirst) => {
                let reply = deliver().await?;
                // The writer may have exited or ended its call.
                let _ = reply.write(&mut stream, reply.body.len()).await;
                sleep(self.random(DELAY)).await;
                return deliver().await.map(drop);
            }
            Some(Fault::DuplicatedSecond) => {
                deliver().await?;
                let reply = deliver().await?;
                // Simulates a service that does not recognize its own put, and refuses the second delivery.
                if request.action == "PutSecretValue" && reply.status == 200 {
                    Reply::error(400, "ResourceExistsException")
                } else {
                    reply
                }
            }
            Some(Fault::Delayed) => {
                sleep(self.random(DELAY)).await;
                deliver().await?
            }
            Some(Fault::Reordered) => {
                self.let_others_pass().await;
                deliver().await?
            }
            Some(Fault::Truncated) => {
                let reply = deliver().await?;
                return reply.write(&mut stream, reply.body.len() / 2).await;
            }
            Some(Fault::Throttled) => Reply::error(400, "ThrottlingException"),
            Some(Fault::ErrorAfter) => {
                deliver().await?;
                Reply::error(500, "InternalServiceError")
            }
            Some(Fault::ErrorBefore | Fault::Stale | Fault::Paused | Fault::Killed) => {
                Reply::error(500, "InternalServiceError")
            }
        };
        reply.write(&mut stream, reply.body.len()).await
    }

    /// Waits until some other requests have been delivered, unless there are none.
    async fn let_others_pass(&self) {
        let mut delivered = self.delivered.subscribe();
        let others = self.state().rng.u64(1..4);
        let enough = *delivered.borrow() + others;
        let _ = timeout(REORDER, delivered.wait_for(|&delivered| delivered >= enough)).await;
    }

    /// Delivers the request to the emulator, and records the version that it makes current.
    pub(crate) async fn deliver(&self, request: &Request, sender: Sender) -> io::Result<Reply> {
        let order = self.order.lock().await;
        let reply = request.send(self.upstream).await?;
        self.state().record(request, &reply, sender);
        drop(order);
        self.delivered.send_modify(|delivered| *delivered += 1);
        Ok(reply)
    }
}

impl State {
    /// Draws the fault of the next request.
    fn fault(&mut self, writer: usize) -> Option<Fault> {
        if self.calm || self.rng.u8(..100) >= FAULTY {
            return None;
        }
        let fault = Fault::ALL[self.rng.usize(..Fault::OF_REQUESTS)];
        self.met.push(Met { writer, at: now(), fault });
        Some(fault)
    }

    /// Replaces a read by label with a read of an earlier current version, during a period of stale reads.
    fn age(&mut self, writer: usize, request: &mut Request) -> bool {
        let by_label = request.action == "GetSecretValue" && request.field("VersionStage") == CURRENT;
        if self.calm || !by_label {
            return false;
        }
        let at = now();
        let over = self.stale.get(&writer).is_none_or(|(_, until)| *until < at);
        if over {
            self.stale.remove(&writer);
            if self.rng.u8(..100) >= STALE {
                return false;
            }
            let seen = at - self.rng.u64(..LAG);
            let version =
                self.history.iter().rev().find(|entry| entry.at <= seen).unwrap_or(&self.history[0]);
            self.stale.insert(writer, (version.id.clone(), at + self.rng.u64(..LAG)));
        }
        let Some((id, _)) = self.stale.get(&writer) else { return false };
        if self.history.last().is_some_and(|current| current.id == *id) {
            return false;
        }
        request.body = json!({ "SecretId": request.body["SecretId"], "VersionId": id });
        self.met.push(Met { writer, at, fault: Fault::Stale });
        true
    }

    fn record(&mut self, request: &Request, reply: &Reply, sender: Sender) {
        if reply.status != 200 {
            return;
        }
        let (id, by) = match &*request.action {
            "PutSecretValue" => {
                let token = request.field("ClientRequestToken");
                self.values.insert(token.to_owned(), request.field("SecretString").to_owned());
                let labels = reply.json()["VersionStages"].clone();
                if !labels.as_array().is_some_and(|labels| labels.contains(&json!(CURRENT))) {
                    return;
                }
                (token, "put")
            }
            "UpdateSecretVersionStage" => (request.field("MoveToVersionId"), "move"),
            _ => return,
        };
        if self.history.last().is_some_and(|last| last.id == id) {
            return;
        }
        let value = self.values.get(id).cloned().unwrap_or_default();
        let foreign = sender == Sender::Foreign;
        self.history.push(Entry { at: now(), id: id.to_owned(), value, by, foreign });
    }
}

/// Keeps the connection open without answering until the writer closes it.
async fn silence(mut stream: TcpStream) -> io::Result<()> {
    while stream.read(&mut [0; 64]).await? > 0 {}
    Ok(())
}
