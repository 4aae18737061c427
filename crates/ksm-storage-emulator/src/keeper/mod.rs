//! A fake Keeper service, for tests and demonstrations.
//!
//! [`FakeKeeper`] speaks the service's protocol over real HTTPS on loopback, with a certificate and a server key
//! created at start-up. It has one application, which shares two records, one with a file. Its behaviour is derived
//! from the SDK's source. Where the SDK does not reveal it, the behaviour of Keeper's service is unknown; above all,
//! whether it returns the application key once or until the client has confirmed it: hence [`AppKeyPolicy`].
//!
//! ```
//! use ksm_storage_core::{BindState, ConfigStorage};
//! use ksm_storage_emulator::keeper::{AppKeyPolicy, FakeKeeper};
//! use ksm_storage_keeper::KeeperClient;
//! # use ksm_storage_memory::MemoryBackend;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = FakeKeeper::start(AppKeyPolicy::Once)?;
//! let storage = ConfigStorage::open(MemoryBackend::from_config("{}")).await?;
//! let keeper = KeeperClient::builder()
//!     .hostname(service.hostname())
//!     .server_public_key(service.server_public_key())
//!     .server_public_key_id(service.server_public_key_id())
//!     .insecure_skip_verify()
//!     .token(service.issue_token())
//!     .open(storage)
//!     .await?;
//! assert_eq!(keeper.bind_state(), BindState::Bound);
//! assert_eq!(keeper.get_secrets(&[]).await?.len(), 2);
//! # Ok(())
//! # }
//! ```

mod cipher;
mod http;
mod service;

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
};

use tokio::{runtime, sync::oneshot};

pub use self::service::{AppKeyPolicy, Fault, RecordedRequest};
use self::service::{IpLock, Service};
use crate::tls::Identity;
/// The number of the service's public key.
const KEY_ID: &str = "901";

/// A fake Keeper service on a free port of 127.0.0.1, served until it is dropped.
pub struct FakeKeeper {
    address: SocketAddr,
    certificate: String,
    service: Arc<Mutex<Service>>,
    _stop: oneshot::Sender<()>,
}

impl FakeKeeper {
    /// Starts the service on its own thread.
    ///
    /// # Errors
    /// An I/O error if no port, thread or certificate is available.
    pub fn start(policy: AppKeyPolicy) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (ready, address) = mpsc::channel();
        let service = Arc::new(Mutex::new(Service::new(policy)));
        let served = Arc::clone(&service);
        let Identity { certificate, acceptor } = Identity::generate()?;
        thread::Builder::new().name("fake-keeper".into()).spawn(move || {
            let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(ready.send(Err(error))),
            };
            let _ = runtime.block_on(http::serve(served, acceptor, ready, stopped));
        })?;
        let address = address.recv().map_err(io::Error::other)??;
        lock(&service).address = Some(address);
        Ok(Self { address, certificate, service, _stop: stop })
    }

    /// Returns a new one-time token without a region: the client needs the host from another setting.
    pub fn issue_token(&self) -> String {
        self.service().issue_token(IpLock::Unlocked)
    }

    /// Like [`issue_token`](Self::issue_token), but the client is locked to the address from which it first uses the
    /// token, as is Keeper's default. On loopback, a client may connect from 127.0.0.2.
    pub fn issue_ip_locked_token(&self) -> String {
        self.service().issue_token(IpLock::First)
    }

    /// The host name for clients, in a form whose port the SDK does not cut off.
    pub fn hostname(&self) -> String {
        format!("{}/http", self.address)
    }

    /// The service's public key, in the SDK's form.
    pub fn server_public_key(&self) -> String {
        self.service().server_public_key()
    }

    /// The ID of that key.
    pub fn server_public_key_id(&self) -> &'static str {
        KEY_ID
    }

    /// The self-signed certificate in PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Injects these faults into the next requests, one each.
    pub fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.service().faults.extend(faults);
    }

    /// Removes the faults that are still queued.
    pub fn clear_faults(&self) {
        self.service().faults.clear();
    }

    /// Removes every client from the application, as a user would in the vault.
    pub fn revoke_all(&self) {
        self.service().revoke_all();
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.service().requests.clone()
    }

    /// Clears the list of requests.
    pub fn clear_requests(&self) {
        self.service().requests.clear();
    }

    /// All confidential values: keys and record contents. For tests that search for leaks.
    pub fn secrets(&self) -> Vec<Vec<u8>> {
        self.service().secrets()
    }

    fn service(&self) -> MutexGuard<'_, Service> {
        lock(&self.service)
    }
}

fn lock(service: &Mutex<Service>) -> MutexGuard<'_, Service> {
    service.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for FakeKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeKeeper").field("address", &self.address).finish_non_exhaustive()
    }
}
