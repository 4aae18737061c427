//! Servers with a fixed answer.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::Arc,
};

use rcgen::{CertificateParams, KeyPair};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivatePkcs8KeyDer},
};

/// Answers every connection with these bytes, or never if they are empty. Returns host and port.
pub(crate) fn canned(reply: impl Into<Vec<u8>>) -> String {
    let reply = reply.into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for mut stream in listener.incoming().flatten() {
            if reply.is_empty() {
                silent.push(stream);
                continue;
            }
            let _ = stream.read(&mut [0; 16 << 10]);
            let _ = stream.write_all(&reply);
        }
    });
    address
}

/// An HTTP response. `headers` are extra lines, each ending in a line break.
pub(crate) fn http(status: u16, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} -\r\n{headers}connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The validity period of a certificate.
#[derive(Clone, Copy)]
pub(crate) enum Valid {
    Now,
    Past,
    Future,
}

/// Starts a TLS server with a self-signed certificate for `name`. Returns host and port, and the certificate in PEM.
pub(crate) async fn tls(name: &str, valid: Valid) -> (String, String) {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    let years = match valid {
        Valid::Now => (2020, 2090),
        Valid::Past => (2020, 2021),
        Valid::Future => (2089, 2090),
    };
    params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            // The client hangs up.
            tokio::spawn(async move { acceptor.accept(stream).await.is_ok() });
        }
    });
    (address, certificate.pem())
}
