//! The program in an empty environment, with the emulator and a fake Keeper of its own.

use std::{
    io::{Read, Write},
    net::TcpListener,
    ops::{Deref, DerefMut},
    thread,
};

use ksm_storage_emulator::{Server, TlsFront, Value, keeper::FakeKeeper};

use crate::support::{Run, SECRET, aws};

/// Everything that a start needs, in order until a fault is injected.
pub(crate) struct Scene {
    pub(crate) aws: Server,
    pub(crate) tls: TlsFront,
    pub(crate) args: Vec<String>,
    run: Run,
}

impl Deref for Scene {
    type Target = Run;

    fn deref(&self) -> &Run {
        &self.run
    }
}

impl DerefMut for Scene {
    fn deref_mut(&mut self) -> &mut Run {
        &mut self.run
    }
}

impl Scene {
    pub(crate) async fn new(keeper: &FakeKeeper, stored: &str) -> Self {
        let (aws, run) = aws(keeper, stored).await;
        let tls = TlsFront::start(&aws.url()).await.unwrap();
        Self { aws, tls, args: vec!["doctor".into()], run }
    }

    pub(crate) fn store(&self, value: &str) {
        self.aws.emulator().secret(SECRET).overwrite(Value::Text(value.into()));
    }

    /// Reaches AWS by TLS, whose certificate is trusted.
    pub(crate) fn trust_tls(&mut self) {
        let bundle = self.file("roots.pem", self.tls.certificate());
        self.set("AWS_CA_BUNDLE", bundle.to_str().unwrap());
        let url = self.tls.url();
        self.set("AWS_ENDPOINT_URL", url);
    }

    /// Names a profile instead of keys.
    pub(crate) fn profile(&mut self, config: &str) {
        self.remove("AWS_ACCESS_KEY_ID");
        self.remove("AWS_SECRET_ACCESS_KEY");
        self.file(".aws/config", config);
        self.set("AWS_PROFILE", "ops");
    }
}

/// A proxy that wants to know who asks.
pub(crate) fn proxy_with_login() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _ = client.read(&mut [0; 1024]);
            let _ =
                client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
        }
    });
    format!("http://{address}")
}

/// A port on which nobody listens.
pub(crate) fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}
