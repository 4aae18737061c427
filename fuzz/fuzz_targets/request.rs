//! Arbitrary requests: the emulator answers each one. If it rejects a request, it gives the reason and changes nothing;
//! if it accepts one, the value can be read again.
//!
//! The first line of the input is the operation. The rest is the body of the request, in which `$current` stands for
//! the ID of the current version, which differs in every run.
#![no_main]

use std::{cell::RefCell, time::Duration};

use ksm_storage_emulator::{Emulator, Server, Value};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::{Builder, Runtime},
};

const SECRET: &str = "s";

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new());
}

fuzz_target!(|input: &[u8]| WORLD.with_borrow_mut(|world| world.try_out(input)));

/// An emulator behind one connection, with its state reset for each input.
struct World {
    runtime: Runtime,
    server: Server,
    connection: TcpStream,
}

impl World {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (server, connection) = runtime.block_on(async {
            let server = Server::start(Emulator::new("us-east-1")).await.expect("a port of loopback");
            let address = server.url().replace("http://", "");
            let connection = TcpStream::connect(address).await.expect("the server listens");
            connection.set_nodelay(true).expect("an open connection");
            (server, connection)
        });
        Self { runtime, server, connection }
    }

    fn try_out(&mut self, input: &[u8]) {
        let emulator = self.server.emulator().clone();
        let secret = emulator.secret(SECRET);
        secret.remove();
        secret.overwrite(Value::Text("{}".into()));
        let before = (secret.versions(), secret.value("AWSCURRENT"));

        let line = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
        let Some(operation) = input.get(..line).and_then(|line| std::str::from_utf8(line).ok()) else {
            return;
        };
        if !operation.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return;
        }
        let body = input.get(line + 1..).unwrap_or_default();
        let body = match std::str::from_utf8(body) {
            Ok(text) => text.replace("$current", &before.0[0].0).into_bytes(),
            Err(_) => body.to_vec(),
        };
        let (status, answer) = self.ask(operation, &body);
        let known = [
            "CreateSecret",
            "DeleteSecret",
            "DescribeSecret",
            "GetSecretValue",
            "PutSecretValue",
            "RestoreSecret",
            "UpdateSecretVersionStage",
        ]
        .contains(&operation);
        let request = serde_json::from_slice::<Json>(&body).ok();
        match status {
            200 => {
                assert!(known, "{operation} is no operation");
                let request = request.expect("what is no JSON is refused");
                self.can_be_read_again(operation, &request, &answer);
            }
            400 => {
                let code = answer["__type"].as_str().unwrap_or_default();
                assert!(code.ends_with("Exception"), "no code: {answer}");
                assert_eq!(code == "UnknownOperationException", !known, "{operation}: {code}");
                assert!(!known || request.is_some() || code == "SerializationException", "{code}");
                assert!(before == (secret.versions(), secret.value("AWSCURRENT")), "a refusal changed it");
            }
            other => panic!("status {other}"),
        }
        let current = secret.versions().iter().filter(|(_, labels)| labels.contains("AWSCURRENT")).count();
        assert!(secret.arn().is_none() || current == 1, "{current} versions are current");
    }

    fn can_be_read_again(&mut self, operation: &str, request: &Json, answer: &Json) {
        let (id, name) = match operation {
            "PutSecretValue" => (&answer["VersionId"], &answer["ARN"]),
            "CreateSecret" if answer.get("VersionId").is_some() => (&answer["VersionId"], &answer["ARN"]),
            "GetSecretValue" => (&answer["VersionId"], &answer["ARN"]),
            _ => return,
        };
        let again = json!({ "SecretId": name, "VersionId": id }).to_string();
        let (status, again) = self.ask("GetSecretValue", again.as_bytes());
        assert_eq!(status, 200, "{again}");
        let stored = if operation == "GetSecretValue" { answer } else { request };
        let value =
            |of: &Json| ["SecretString", "SecretBinary"].map(|name| of[name].as_str().map(str::to_owned));
        assert_eq!(value(&again), value(stored));
        if operation == "CreateSecret" {
            // The next input may also create it.
            self.server.emulator().secret(request["Name"].as_str().expect("it was created")).remove();
        }
    }

    /// Sends one request, and returns the complete answer.
    fn ask(&mut self, operation: &str, body: &[u8]) -> (u16, Json) {
        let head = format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\nauthorization: AWS4-HMAC-SHA256 x\r\n\
             x-amz-target: secretsmanager.{operation}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let request = [head.as_bytes(), body].concat();
        let connection = &mut self.connection;
        let exchange = async {
            connection.write_all(&request).await.expect("the server reads");
            let mut answer = Vec::new();
            let mut chunk = [0; 4096];
            loop {
                if let Some(whole) = parse(&answer) {
                    return whole;
                }
                let count = connection.read(&mut chunk).await.expect("the server answers");
                assert!(count > 0, "the server closed the connection");
                answer.extend_from_slice(&chunk[..count]);
            }
        };
        self.runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(5), exchange).await.expect("an answer comes")
        })
    }
}

/// Status and body, if the answer is complete.
fn parse(answer: &[u8]) -> Option<(u16, Json)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).expect("headers are text");
    let status = head.split(' ').nth(1)?.parse().expect("a status");
    let len: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .expect("a length")
        .parse()
        .expect("a number");
    let body = answer.get(end + 4..end + 4 + len)?;
    Some((status, serde_json::from_slice(body).expect("an answer is JSON")))
}
