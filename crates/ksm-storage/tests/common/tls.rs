//! TLS in front of a server, with a certificate that no authority of the host knows.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivatePkcs8KeyDer},
};

/// What connects to `address` reaches the server behind.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    /// In PEM.
    pub(crate) certificate: String,
    /// How many have been made.
    pub(crate) connections: Arc<AtomicUsize>,
}

/// Passes on what comes for the server at the URL `behind`, as long as the runtime is there.
pub(crate) async fn front(behind: &str) -> Front {
    let behind = behind.trim_start_matches("http://").to_owned();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let tls = TlsAcceptor::from(Arc::new(config));

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            let (tls, behind) = (tls.clone(), behind.clone());
            tokio::spawn(async move {
                // A client that does not like the certificate goes away.
                let Ok(mut stream) = tls.accept(stream).await else { return };
                let mut server = TcpStream::connect(behind).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut server).await;
            });
        }
    });
    Front { address, certificate: made.cert.pem(), connections }
}
