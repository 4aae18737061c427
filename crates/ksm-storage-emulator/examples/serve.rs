//! Serves an empty region on loopback, for any AWS client:
//!
//! ```text
//! cargo run -p ksm-storage-emulator --example serve -- [PORT]
//! aws --endpoint-url http://127.0.0.1:PORT secretsmanager create-secret --name ksm-config --secret-string '{}'
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it does")]

use std::{io, net::SocketAddr};

use ksm_storage_emulator::{Emulator, Server};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let port = match std::env::args().nth(1).map(|port| port.parse()) {
        None => 0,
        Some(Ok(port)) => port,
        Some(Err(_)) => {
            eprintln!("usage: emulator [PORT]");
            std::process::exit(2);
        }
    };
    let server = Server::bind(Emulator::new("us-east-1"), SocketAddr::from(([127, 0, 0, 1], port))).await?;
    println!("Secrets Manager: --endpoint-url {}", server.url());
    println!("instance metadata: AWS_EC2_METADATA_SERVICE_ENDPOINT={}", server.url());
    std::future::pending().await
}
