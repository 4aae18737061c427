//! A small networked store: tables with a single value each, read and written over TCP.
//!
//! It has the features of a typical database: a counter of the server (`modified`) that never decreases, a counter of
//! each value (`revision`) that restarts when the value is deleted, and writes conditional on either counter, or
//! unconditional. Like those of databases, its error messages quote the failed statement.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, LazyLock, Mutex},
    thread,
    time::{Duration, Instant},
};

use crate::wire;

/// The password of every client.
pub(crate) const PASSWORD: &str = "hunter2-correct-horse";
/// The largest value accepted, in bytes.
pub(crate) const LARGEST: usize = 65_536;
/// The lag of the replica behind the primary.
const REPLICA_LAG: Duration = Duration::from_millis(300);

/// A table of the server, with operations for its administrator.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
}

#[derive(Default)]
struct State {
    modified: u64,
    tables: HashMap<String, Content>,
}

#[derive(Default)]
struct Content {
    now: Row,
    /// The row before the last change, and the time of that change.
    before: Option<(Row, Instant)>,
    /// The fault in effect, if any.
    fault: Option<Fault>,
}

/// A fault that an administrator may cause.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Every request returns an error.
    Refused,
    /// There is no space for writes.
    Full,
}

/// A row; `value: None` means a table without a value.
#[derive(Clone, Default)]
struct Row {
    modified: u64,
    revision: u64,
    value: Option<Vec<u8>>,
}

struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server { address: listener.local_addr().unwrap(), state: Arc::default() };
    let state = server.state.clone();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let state = state.clone();
            thread::spawn(move || serve(client, &state));
        }
    });
    server
});

/// The address of the server, which is shared by all tests.
pub(crate) fn address() -> SocketAddr {
    SERVER.address
}

impl Table {
    /// Creates a table without a value.
    pub(crate) fn create(name: &str) -> Self {
        let table = Self { name: name.to_owned() };
        table.recreate();
        table
    }

    pub(crate) fn read(&self) -> Option<Vec<u8>> {
        let state = SERVER.state.lock().unwrap();
        state.tables.get(&self.name)?.now.value.clone()
    }

    pub(crate) fn write(&self, value: &[u8]) {
        SERVER.state.lock().unwrap().change(&self.name, Some(value.to_vec()));
    }

    /// Deletes the value, but keeps the table.
    pub(crate) fn empty(&self) {
        SERVER.state.lock().unwrap().change(&self.name, None);
    }

    /// Deletes the table.
    pub(crate) fn remove(&self) {
        SERVER.state.lock().unwrap().tables.remove(&self.name);
    }

    /// Recreates the table, without a value.
    pub(crate) fn recreate(&self) {
        let mut state = SERVER.state.lock().unwrap();
        state.tables.insert(self.name.clone(), Content::default());
        state.change(&self.name, None);
    }

    /// Starts or ends a fault.
    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        if let Some(content) = SERVER.state.lock().unwrap().tables.get_mut(&self.name) {
            content.fault = fault;
        }
    }
}

impl State {
    fn change(&mut self, table: &str, value: Option<Vec<u8>>) -> Option<Row> {
        self.modified += 1;
        let content = self.tables.get_mut(table)?;
        let revision = if value.is_some() { content.now.revision + 1 } else { 0 };
        let row = Row { modified: self.modified, revision, value };
        content.before = Some((std::mem::replace(&mut content.now, row.clone()), Instant::now()));
        Some(row)
    }

    /// The parts of the response to a request.
    fn answer(&mut self, request: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
        let [operation, password, table, arguments @ ..] = request else { return None };
        if password != PASSWORD.as_bytes() {
            return Some(vec![b"denied".to_vec(), b"wrong password".to_vec()]);
        }
        let table = String::from_utf8_lossy(table).into_owned();
        let Some(content) = self.tables.get(&table) else { return Some(vec![b"missing".to_vec()]) };
        if content.fault == Some(Fault::Refused) {
            return Some(vec![b"denied".to_vec(), quote("permission denied", request)]);
        }
        match (&operation[..], arguments) {
            (b"load", []) => Some(show(&content.now)),
            (b"load-replica", []) => Some(show(match &content.before {
                Some((row, changed)) if changed.elapsed() < REPLICA_LAG => row,
                _ => &content.now,
            })),
            (b"store", [_, _, value]) if value.len() > LARGEST => {
                Some(vec![b"too-large".to_vec(), quote("value too long", request)])
            }
            (b"store", [column, expected, value]) => {
                let expected = wire::number(expected)?;
                let holds = match &column[..] {
                    b"modified" => content.now.modified == expected,
                    b"revision" => content.now.revision == expected,
                    b"any" => true,
                    _ => return None,
                };
                if !holds {
                    return Some(vec![b"mismatch".to_vec()]);
                }
                if content.fault == Some(Fault::Full) {
                    return Some(vec![b"full".to_vec(), quote("no space", request)]);
                }
                let row = self.change(&table, Some(value.clone()))?;
                Some(vec![b"stored".to_vec(), decimal(row.modified), decimal(row.revision)])
            }
            (b"append", [value]) => {
                let mut all = content.now.value.clone().unwrap_or_default();
                all.extend(value);
                let row = self.change(&table, Some(all))?;
                Some(vec![b"stored".to_vec(), decimal(row.modified), decimal(row.revision)])
            }
            _ => None,
        }
    }
}

fn show(row: &Row) -> Vec<Vec<u8>> {
    match &row.value {
        Some(value) => {
            vec![b"found".to_vec(), decimal(row.modified), decimal(row.revision), value.clone()]
        }
        None => vec![b"empty".to_vec(), decimal(row.modified)],
    }
}

fn decimal(number: u64) -> Vec<u8> {
    number.to_string().into_bytes()
}

/// An error message that quotes the statement, but not the password.
fn quote(problem: &str, request: &[Vec<u8>]) -> Vec<u8> {
    let mut text = format!("{problem} in statement: ").into_bytes();
    for (index, part) in request.iter().enumerate().filter(|(index, _)| *index != 1) {
        text.extend(if index == 0 { &b""[..] } else { b" " });
        text.extend(&part[..part.len().min(1000)]);
    }
    text
}

fn serve(mut client: TcpStream, state: &Mutex<State>) {
    let _ = client.set_nodelay(true);
    while let Ok(body) = receive(&mut client) {
        let answer = wire::decode(&body).and_then(|request| state.lock().unwrap().answer(&request));
        let answer = answer.unwrap_or_else(|| vec![b"malformed".to_vec()]);
        let parts: Vec<&[u8]> = answer.iter().map(Vec::as_slice).collect();
        if client.write_all(&wire::encode(&parts)).is_err() {
            return;
        }
    }
}

fn receive(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = [0; 4];
    client.read_exact(&mut head)?;
    let length = usize::try_from(u32::from_be_bytes(head)).map_err(io::Error::other)?;
    if length > 16 * LARGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    client.read_exact(&mut body)?;
    Ok(body)
}
