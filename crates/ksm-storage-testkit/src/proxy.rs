use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use crate::Condition;

/// The pause between two bytes of a slow reply, short enough to escape a time limit on single reads.
const DRIBBLE: Duration = Duration::from_millis(50);
/// Number of reply bytes that are garbled. The rest is unchanged, so that an error that quotes the reply shows it.
const GARBLED: usize = 8;
const CHUNK: usize = 64 * 1024;

/// A TCP proxy on a loopback address, independent of any protocol.
///
/// [`impose`](Self::impose) also applies to connections that are already open.
///
/// ```
/// # use std::{io::{Read, Write}, net::{TcpListener, TcpStream}, thread};
/// use ksm_storage_testkit::{Condition, Proxy};
///
/// # fn main() -> std::io::Result<()> {
/// # let server = TcpListener::bind("127.0.0.1:0")?;
/// # let address = server.local_addr()?;
/// # thread::spawn(move || server.incoming().flatten().for_each(|mut client| drop(client.write_all(b"hello"))));
/// let proxy = Proxy::start(address)?;
/// let mut text = String::new();
/// TcpStream::connect(proxy.address())?.read_to_string(&mut text)?;
/// assert_eq!(text, "hello");
///
/// proxy.impose(Condition::ReplyCut);
/// text.clear();
/// TcpStream::connect(proxy.address())?.read_to_string(&mut text)?;
/// assert_eq!(text, "he");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    condition: Mutex<Option<Condition>>,
    changed: Condvar,
    stopped: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Forwards every connection to `upstream` until the proxy is dropped.
    ///
    /// # Errors
    /// An I/O error if no loopback port is available.
    pub fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream,
            condition: Mutex::default(),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
            streams: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if accepting.stopped.load(Ordering::SeqCst) {
                    return;
                }
                // If no upstream connection can be made, the client's connection is closed.
                let _ = accepting.connect(client);
            }
        });
        Ok(Self { address, shared })
    }

    /// The address for clients.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Treats all connections according to `condition` until [`restore`](Self::restore).
    pub fn impose(&self, condition: Condition) {
        self.shared.set(Some(condition));
    }

    /// Forwards normally again. Requests held back are delivered; connections whose reply was withheld are closed.
    pub fn restore(&self) {
        self.shared.set(None);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.shared.set(None);
        for stream in lock(&self.shared.streams).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn condition(&self) -> Option<Condition> {
        *lock(&self.condition)
    }

    fn set(&self, condition: Option<Condition>) {
        *lock(&self.condition) = condition;
        self.changed.notify_all();
    }

    fn wait_for_change_from(&self, condition: Condition) {
        let unchanged = |current: &mut Option<Condition>| *current == Some(condition);
        drop(self.changed.wait_while(lock(&self.condition), unchanged));
    }

    fn connect(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        if self.condition().is_some_and(Condition::refuses) {
            return Ok(());
        }
        let server = TcpStream::connect(self.upstream)?;
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
            lock(&self.streams).push(stream.try_clone()?);
        }
        let (up, down) = (Arc::clone(self), Arc::clone(self));
        let (from, to) = (client.try_clone()?, server.try_clone()?);
        thread::spawn(move || pump(from, to, |to, bytes| up.forward_request(to, bytes)));
        thread::spawn(move || pump(server, client, |to, bytes| down.forward_reply(to, bytes)));
        Ok(())
    }

    fn forward_request(&self, server: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
        match self.condition() {
            Some(Condition::Refused | Condition::Unreachable) => Err(closed()),
            Some(Condition::RequestCut) => {
                server.write_all(&bytes[..bytes.len() / 2])?;
                Err(closed())
            }
            Some(held @ Condition::Held) => {
                self.wait_for_change_from(held);
                server.write_all(bytes)
            }
            _ => server.write_all(bytes),
        }
    }

    fn forward_reply(&self, client: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
        match self.condition() {
            Some(Condition::Refused | Condition::Unreachable) => Err(closed()),
            Some(Condition::Unreadable) => {
                let (start, rest) = bytes.split_at(bytes.len().min(GARBLED));
                client.write_all(&vec![b'!'; start.len()])?;
                client.write_all(rest)
            }
            Some(silent @ Condition::Silent) => {
                self.wait_for_change_from(silent);
                Err(closed())
            }
            Some(slow @ Condition::Slow) => {
                for byte in bytes {
                    client.write_all(&[*byte])?;
                    if self.condition() == Some(slow) {
                        thread::sleep(DRIBBLE);
                    }
                }
                Ok(())
            }
            Some(cut @ (Condition::ReplyCut | Condition::OneReplyCut)) => {
                if cut == Condition::OneReplyCut {
                    self.set(None);
                }
                client.write_all(&bytes[..bytes.len() / 2])?;
                Err(closed())
            }
            _ => client.write_all(bytes),
        }
    }
}

/// Forwards data until either side ends, then ends both.
fn pump(mut from: TcpStream, mut to: TcpStream, forward: impl Fn(&mut TcpStream, &[u8]) -> io::Result<()>) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(length @ 1..) = from.read(&mut chunk) {
        if forward(&mut to, &chunk[..length]).is_err() {
            break;
        }
    }
    for stream in [from, to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

fn closed() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
