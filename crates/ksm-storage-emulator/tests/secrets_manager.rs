//! Documented behaviour of Secrets Manager, tested on the emulator with the real SDK.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::{net::SocketAddr, time::Duration};

use aws_sdk_secretsmanager::{
    Client, error::ProvideErrorMetadata, operation::put_secret_value::builders::PutSecretValueFluentBuilder,
};
use ksm_storage_aws::{CallError, MoveCurrent, Put, SecretsClient, Select};
use ksm_storage_emulator::{Action, Emulator, Server, fixture::sdk_config};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const NAME: &str = "secret";
const FORBIDDEN_PORT: u16 = 9;

struct World {
    server: Server,
    client: Client,
}

impl World {
    async fn new() -> Self {
        let server = Server::start(Emulator::new("us-east-1")).await.unwrap();
        let client = Client::new(&sdk_config(&server.url()));
        client.create_secret().name(NAME).secret_string("first").send().await.unwrap();
        Self { server, client }
    }

    fn put(&self, token: &str, value: &str) -> PutSecretValueFluentBuilder {
        self.client.put_secret_value().secret_id(NAME).client_request_token(token).secret_string(value)
    }

    /// The value of the version with this label, or the error code.
    async fn get(&self, label: &str) -> Result<String, String> {
        let got = self.client.get_secret_value().secret_id(NAME).version_stage(label).send().await;
        got.map(|got| got.secret_string().unwrap().to_owned())
            .map_err(|error| error.code().unwrap().to_owned())
    }
}

async fn rejected(put: PutSecretValueFluentBuilder) -> String {
    put.send().await.unwrap_err().code().unwrap().to_owned()
}

fn token(number: usize) -> String {
    format!("token-{number:030}")
}

#[tokio::test]
async fn a_token_takes_one_content() {
    let world = World::new().await;
    let put = world.put(&token(1), "second").send().await.unwrap();
    assert_eq!((put.version_id(), put.version_stages()), (Some(&*token(1)), &["AWSCURRENT".to_owned()][..]));
    // Repeating the put has no effect, and returns the current labels.
    world.put(&token(2), "third").send().await.unwrap();
    let repeated = world.put(&token(1), "second").send().await.unwrap();
    assert_eq!(repeated.version_stages(), ["AWSPREVIOUS"]);
    assert_eq!(world.get("AWSCURRENT").await.unwrap(), "third");
    assert_eq!(rejected(world.put(&token(1), "other")).await, "ResourceExistsException");
    for bad in ["x".repeat(31), "x".repeat(65)] {
        assert_eq!(rejected(world.put(&bad, "v")).await, "ValidationException");
    }
}

#[tokio::test]
async fn labels_move_up_to_twenty() {
    let world = World::new().await;
    world.put(&token(1), "second").version_stages("mine").send().await.unwrap();
    assert_eq!(world.get("AWSCURRENT").await.unwrap(), "first");
    assert_eq!(world.get("mine").await.unwrap(), "second");
    let first = world.client.get_secret_value().secret_id(NAME).send().await.unwrap();
    let move_to = |from: Option<&str>| {
        let request = world.client.update_secret_version_stage().secret_id(NAME).version_stage("AWSCURRENT");
        request.move_to_version_id(token(1)).set_remove_from_version_id(from.map(str::to_owned)).send()
    };
    let mismatch = move_to(Some(&token(7))).await.unwrap_err();
    assert_eq!(mismatch.code(), Some("InvalidParameterException"));
    move_to(first.version_id()).await.unwrap();
    assert_eq!(world.get("AWSCURRENT").await.unwrap(), "second");
    assert_eq!(world.get("AWSPREVIOUS").await.unwrap(), "first");

    // With `mine`, `AWSCURRENT` and `AWSPREVIOUS`, seventeen more reach the limit.
    for number in 0..17 {
        let put = world.put(&token(100 + number), "v").version_stages(format!("label-{number}"));
        put.send().await.unwrap();
    }
    assert_eq!(
        rejected(world.put(&token(200), "v").version_stages("label-17")).await,
        "LimitExceededException"
    );
}

#[tokio::test]
async fn old_versions_make_room() {
    let world = World::new().await;
    for number in 1..100 {
        world.put(&token(number), &number.to_string()).send().await.unwrap();
    }
    assert_eq!(rejected(world.put(&token(100), "v")).await, "LimitExceededException");
    world.server.emulator().advance(Duration::from_hours(24));
    world.put(&token(100), "v").send().await.unwrap();
    assert_eq!(world.server.emulator().secret(NAME).versions().len(), 100);
    // The next put evicts the first version, whose token can then be reused.
    world.put(&token(101), "v").send().await.unwrap();
    world.put(&token(1), "another").send().await.unwrap();
}

#[tokio::test]
async fn values_are_text_or_bytes() {
    let world = World::new().await;
    assert_eq!(rejected(world.put(&token(1), &"x".repeat(65_537))).await, "ValidationException");
    world.put(&token(1), &"x".repeat(65_536)).send().await.unwrap();
    assert_eq!(rejected(world.put(&token(2), "")).await, "ValidationException");
    let both = world.put(&token(2), "text").secret_binary(b"bytes".to_vec().into());
    assert_eq!(rejected(both).await, "InvalidParameterException");
    let neither = world.client.put_secret_value().secret_id(NAME).client_request_token(token(2));
    assert_eq!(rejected(neither).await, "InvalidRequestException");
}

#[tokio::test]
async fn secret_is_deleted_and_recreated() {
    let world = World::new().await;
    let arn = world.server.emulator().secret(NAME).arn().unwrap();
    for id in [NAME, &arn, &arn[..arn.len() - 7]] {
        assert!(world.client.get_secret_value().secret_id(id).send().await.is_ok(), "{id}");
    }
    for id in ["other", &*arn.replace("us-east-1", "us-east-2"), &arn[arn.len() - 13..]] {
        assert!(world.client.get_secret_value().secret_id(id).send().await.is_err(), "{id}");
    }
    world.client.delete_secret().secret_id(NAME).send().await.unwrap();
    assert_eq!(world.get("AWSCURRENT").await, Err("InvalidRequestException".to_owned()));
    assert_eq!(rejected(world.put(&token(1), "v")).await, "InvalidRequestException");
    world.client.restore_secret().secret_id(NAME).send().await.unwrap();
    assert_eq!(world.get("AWSCURRENT").await.unwrap(), "first");
    world.client.delete_secret().secret_id(NAME).force_delete_without_recovery(true).send().await.unwrap();
    assert_eq!(world.get("AWSCURRENT").await, Err("ResourceNotFoundException".to_owned()));
    world.client.create_secret().name(NAME).send().await.unwrap();
    assert_ne!(world.server.emulator().secret(NAME).arn().unwrap(), arn);
    assert_eq!(world.get("AWSCURRENT").await, Err("ResourceNotFoundException".to_owned()));
    // The first version becomes current, regardless of the requested label.
    world.put(&token(1), "again").version_stages("mine").send().await.unwrap();
    assert_eq!(world.get("AWSCURRENT").await.unwrap(), "again");
}

#[tokio::test]
async fn calls_in_process_are_validated() {
    let emulator = Emulator::new("us-east-1");
    emulator.secret(NAME).create();
    let code = |result: Result<(), CallError>| result.unwrap_err().code.unwrap();
    let put = |token: &str, value: &str| Put {
        secret: NAME.to_owned(),
        token: token.to_owned(),
        value: value.into(),
        label: None,
    };
    let (long, from) = ("x".repeat(65), token(1));
    let moved = MoveCurrent { secret: NAME.to_owned(), to: long.clone(), from };
    for result in [
        SecretsClient::get(&emulator, "a b", &Select::Current).await.map(drop),
        SecretsClient::get(&emulator, NAME, &Select::Id(long.clone())).await.map(drop),
        SecretsClient::put(&emulator, &put(&long, "v")).await.map(drop),
        SecretsClient::put(&emulator, &put(&token(1), &"x".repeat(65_537))).await.map(drop),
        emulator.move_current(&moved).await,
        emulator.primary_region("").await.map(drop),
    ] {
        assert_eq!(code(result), "ValidationException");
    }
    SecretsClient::put(&emulator, &put(&token(1), "v")).await.unwrap();
}

#[tokio::test]
async fn denials_concern_one_action() {
    let world = World::new().await;
    world.server.emulator().deny(Action::PutSecretValue, "AccessDeniedException");
    assert_eq!(rejected(world.put(&token(1), "v")).await, "AccessDeniedException");
    assert_eq!(world.get("AWSCURRENT").await.unwrap(), "first");
}

/// The status code of a raw request.
async fn status(server: &Server, request: &str) -> u16 {
    let mut stream = TcpStream::connect(server.url().trim_start_matches("http://")).await.unwrap();
    let end = "\r\nHost: 169.254.169.254\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("{request}{end}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn metadata_token_expires() {
    let server = Server::start(Emulator::new("us-east-1")).await.unwrap();
    server.metadata().set_token("t0ken");
    let put =
        |ttl: &str| format!("PUT /latest/api/token HTTP/1.1\r\nx-aws-ec2-metadata-token-ttl-seconds: {ttl}");
    for (ttl, answered) in [("1", 200), ("21600", 200), ("0", 400), ("21601", 400), ("soon", 400)] {
        assert_eq!(status(&server, &put(ttl)).await, answered, "{ttl}");
    }
    assert_eq!(status(&server, "PUT /latest/api/token HTTP/1.1").await, 400);
    let region = "GET /latest/meta-data/placement/region HTTP/1.1";
    assert_eq!(status(&server, region).await, 401);
    assert_eq!(status(&server, &format!("{region}\r\nx-aws-ec2-metadata-token: other")).await, 401);
    assert_eq!(status(&server, &format!("{region}\r\nx-aws-ec2-metadata-token: t0ken")).await, 200);
}

#[tokio::test]
async fn it_listens_on_loopback_only() {
    let address = SocketAddr::from(([0, 0, 0, 0], FORBIDDEN_PORT));
    let error = Server::bind(Emulator::new("us-east-1"), address).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}
