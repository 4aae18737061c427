//! The backend's description of its connection.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test has no documentation and may panic")]

use std::{
    net::TcpListener,
    sync::Arc,
    time::{Duration, SystemTime},
};

use ksm_storage_aws::{
    AwsSecretBackend, AwsSecretStorage, AwsStorageBuilder, Concurrency, Connection, ErrorKind, RegionUnknown,
};
use ksm_storage_emulator::{Action, Emulator, Fault, ResponseFault, Server, Value};

fn builder(url: &str) -> AwsStorageBuilder {
    AwsSecretStorage::from_custom_config("ksm-config", "AKIA", "s3cret", "us-east-1").endpoint_url(url)
}

async fn connection(url: &str) -> Connection {
    builder(url).open_backend().await.unwrap().connection().unwrap().clone()
}

#[tokio::test]
async fn connection_tells_its_way() {
    let server = Server::start(Emulator::new("us-east-1")).await.unwrap();
    let found = connection(&server.url()).await;
    assert_eq!((found.region(), found.region_source()), ("us-east-1", "`from_custom_config`"));
    assert_eq!(found.credentials_source(), "`from_custom_config`");
    found.check_credentials().await.unwrap();
    let peer = found.peer().await.unwrap();
    assert_eq!(peer.to_string(), format!("{} (from endpoint_url)", server.url()));
    assert!(!format!("{found:?}").contains("s3cret"));

    let identity = found.identity().await.unwrap();
    assert_eq!(identity.account, "123456789012");
    assert_eq!(identity.to_string(), "arn:aws:iam::123456789012:user/emulated");
    server.emulator().deny(Action::GetCallerIdentity, "AccessDenied");
    assert_eq!(found.identity().await.unwrap_err().kind(), ErrorKind::AccessDenied);
    server.emulator().allow_all();
    server.emulator().fail(Action::GetCallerIdentity, [Fault::refuse("ExpiredToken")]);
    let expired = found.identity().await.unwrap_err();
    assert_eq!(expired.kind(), ErrorKind::Credentials);
    let hint = "the credentials come from `from_custom_config`: renew them";
    assert!(expired.hint().unwrap().contains(hint), "{expired}");
    server.emulator().fail(Action::GetCallerIdentity, [Fault::Before(ResponseFault::Status(503))]);
    assert_eq!(found.identity().await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn reply_tells_the_service_time() {
    let server = Server::start(Emulator::new("us-east-1")).await.unwrap();
    server.emulator().set_clock(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
    let found = connection(&server.url()).await;
    let time = found.service_time().await.unwrap().unwrap();
    assert_eq!(time, SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
    // No operation was carried out.
    assert!(Action::ALL.iter().all(|action| server.emulator().calls(*action) == 0));

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let refused = connection(&url).await.service_time().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.to_string().contains("the connection was refused"), "{refused}");
}

#[tokio::test]
async fn endpoint_of_a_region_is_found() {
    let open = |region: &str| {
        AwsSecretStorage::from_custom_config("ksm-config", "AKIA", "s3cret", region).open_backend()
    };
    for (region, host) in [
        ("eu-west-1", "secretsmanager.eu-west-1.amazonaws.com"),
        ("cn-north-1", "secretsmanager.cn-north-1.amazonaws.com.cn"),
    ] {
        let peer = open(region).await.unwrap().connection().unwrap().peer().await.unwrap();
        assert_eq!((peer.host(), peer.is_secured()), (host, true));
    }
    let unknown = open("").await.unwrap_err();
    let source = std::error::Error::source(&unknown).unwrap();
    assert!(source.is::<RegionUnknown>(), "{unknown}");
}

#[tokio::test]
async fn replica_names_its_primary() {
    let server = Server::start(Emulator::new("us-east-1")).await.unwrap();
    let emulator = server.emulator();
    emulator.secret("ksm-config").overwrite(Value::Text("{}".into()));
    let backend = builder(&server.url()).open_backend().await.unwrap();
    assert_eq!(backend.replica_of().await.unwrap(), None);
    emulator.secret("ksm-config").replicate_from("eu-west-1");
    assert_eq!(backend.replica_of().await.unwrap().as_deref(), Some("eu-west-1"));
    emulator.deny(Action::DescribeSecret, "AccessDeniedException");
    let denied = backend.replica_of().await.unwrap_err();
    assert!(denied.to_string().contains("grant secretsmanager:DescribeSecret"), "{denied}");

    let client = Arc::new(emulator.clone());
    let own = AwsSecretBackend::new(client, "ksm-config".parse().unwrap(), "us-east-1", Concurrency::Strict);
    assert!(own.connection().is_none());
}
