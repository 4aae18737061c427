//! TLS on loopback, with a self-signed certificate.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rcgen::{CertificateParams, DnType, KeyPair};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivatePkcs8KeyDer},
};

use crate::server::accept;

/// A certificate created for this run, and the server configuration that presents it.
pub(crate) struct Identity {
    /// In PEM.
    pub(crate) certificate: String,
    pub(crate) acceptor: TlsAcceptor,
}

impl Identity {
    pub(crate) fn generate() -> io::Result<Self> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let names = ["127.0.0.1", "localhost"].map(str::to_owned);
        let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
        // OpenSSL looks up issuers by name, and uses the first of two equal ones in a bundle.
        let name = format!("ksm-storage-emulator {:016x}", fastrand::u64(..));
        params.distinguished_name.push(DnType::CommonName, name);
        let made = params.self_signed(&key).map_err(io::Error::other)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![made.der().clone()], key.into())
            .map_err(io::Error::other)?;
        Ok(Self { certificate: made.pem(), acceptor: TlsAcceptor::from(Arc::new(config)) })
    }
}

/// Adds TLS to a plain server, on a free port of 127.0.0.1, until it is dropped.
pub struct TlsFront {
    address: SocketAddr,
    certificate: String,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl TlsFront {
    /// Forwards to the server at the URL `behind`, such as [`Server::url`](crate::Server::url).
    ///
    /// # Errors
    /// An I/O error if no port or certificate is available.
    pub async fn start(behind: &str) -> io::Result<Self> {
        let behind: Arc<str> = behind.trim_start_matches("http://").into();
        let identity = Identity::generate()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let connections = Arc::new(AtomicUsize::new(0));
        let (counted, acceptor) = (Arc::clone(&connections), identity.acceptor);
        let accepting = tokio::spawn(accept(listener, move |stream, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            forward(acceptor.clone(), stream, Arc::clone(&behind))
        }));
        Ok(Self { address, certificate: identity.certificate, connections, accepting })
    }

    /// The URL, such as `https://127.0.0.1:4566`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The self-signed certificate in PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The number of connections made so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl fmt::Debug for TlsFront {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsFront").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn forward(acceptor: TlsAcceptor, stream: TcpStream, behind: Arc<str>) {
    // A client that rejects the certificate closes the connection.
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let Ok(mut server) = TcpStream::connect(&*behind).await else { return };
    let _ = server.set_nodelay(true);
    let _ = copy_bidirectional(&mut stream, &mut server).await;
}
