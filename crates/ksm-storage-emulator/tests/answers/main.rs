//! Responses of Secrets Manager, as AWS returns them: error codes, messages and response members.
#![allow(missing_docs, clippy::unwrap_used)]

mod constraints;
mod lifecycle;
mod lists;
mod records;
mod versions;

use std::time::{Duration, UNIX_EPOCH};

use ksm_storage_emulator::{Emulator, Server};
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const DAY: u64 = 86_400;
/// A time of day of 18:40.
const NOW: u64 = 19_675 * DAY + 67_200;

struct World(Server);

/// The code and message of an error response.
type Refusal = (String, String);

impl World {
    /// Starts an emulator with its clock at [`NOW`].
    async fn new() -> Self {
        let server = Server::start(Emulator::new("us-east-1")).await.unwrap();
        server.emulator().set_clock(UNIX_EPOCH + Duration::from_secs(NOW));
        Self(server)
    }

    /// Starts an emulator with a secret `s`, whose only version is [`token`] 0.
    async fn with_secret() -> Self {
        let world = Self::new().await;
        world.answer("CreateSecret", json!({ "Name": "s", "SecretString": "0" }), 0).await;
        world
    }

    async fn call(&self, action: &str, request: &Json) -> Result<Json, Refusal> {
        let mut stream = TcpStream::connect(self.0.url().trim_start_matches("http://")).await.unwrap();
        let body = request.to_string();
        let head = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\
             Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: secretsmanager.{action}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=AKIA/x\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        let body: Json = serde_json::from_str(body).unwrap();
        let text = |member: &str| body[member].as_str().unwrap().to_owned();
        if head.starts_with("HTTP/1.1 200 ") { Ok(body) } else { Err((text("__type"), text("Message"))) }
    }

    /// Sends a request about the secret `s`, unless it names another, and returns the response.
    async fn ask(&self, action: &str, mut request: Json) -> Result<Json, Refusal> {
        if request["Name"].is_null() && request["SecretId"].is_null() && action != "ListSecrets" {
            request["SecretId"] = "s".into();
        }
        self.call(action, &request).await
    }

    async fn ok(&self, action: &str, request: Json) -> Json {
        self.ask(action, request).await.unwrap()
    }

    async fn answer(&self, action: &str, mut request: Json, number: usize) -> Json {
        request["ClientRequestToken"] = token(number).into();
        self.ok(action, request).await
    }

    /// Asserts the code and message of an error response.
    async fn rejected(&self, action: &str, request: Json, code: &str, message: &str) {
        let shown = format!("{action} {request}").chars().take(200).collect::<String>();
        let refusal = self.ask(action, request).await.unwrap_err();
        assert_eq!(refusal, (code.to_owned(), message.to_owned()), "{shown}");
    }

    async fn stages(&self) -> Json {
        self.ok("DescribeSecret", json!({})).await["VersionIdsToStages"].clone()
    }

    /// The names of the secrets that match a filter.
    async fn listed(&self, key: &str, value: &str) -> Vec<String> {
        let request = json!({ "Filters": [{ "Key": key, "Values": [value] }] });
        names(&self.ok("ListSecrets", request).await)
    }
}

fn token(number: usize) -> String {
    format!("token-{number:030}")
}

fn names(list: &Json) -> Vec<String> {
    let secrets = list["SecretList"].as_array().unwrap();
    secrets.iter().map(|secret| secret["Name"].as_str().unwrap().to_owned()).collect()
}

/// A date as it appears in responses.
fn date(seconds: u64) -> f64 {
    Duration::from_secs(seconds).as_secs_f64()
}
