//! Options set on the AWS builder, on core's builder, or on both.
#![allow(missing_docs, clippy::unwrap_used, reason = "these are tests")]

use ksm_storage_aws::{AwsSecretStorage, AwsStorageBuilder};
use ksm_storage_core::{
    ConfigKey::Url, ConfigStorage, ErrorKind, OpenOptions, Outcome, Payload, StorageBackend,
};
use ksm_storage_emulator::{Action, Emulator, Server, Value, fixture::sdk_config};

const NAME: &str = "team/ksm";

async fn serve() -> Server {
    Server::start(Emulator::new("us-east-1")).await.unwrap()
}

fn builder(server: &Server) -> AwsStorageBuilder {
    AwsSecretStorage::from_sdk_config(NAME, &sdk_config(&server.url()))
}

#[tokio::test]
async fn read_only_is_never_dropped() {
    let server = serve().await;
    server.emulator().secret(NAME).overwrite(Value::Text("{}".into()));
    let frozen = || builder(&server).read_only();
    let backend = frozen().open_backend().await.unwrap();
    for storage in [
        frozen().open().await.unwrap(),
        ConfigStorage::open(frozen()).await.unwrap(),
        ConfigStorage::builder(frozen()).options(OpenOptions::default()).open_or_create().await.unwrap(),
        ConfigStorage::builder(builder(&server))
            .read_only()
            .options(OpenOptions::default())
            .open()
            .await
            .unwrap(),
        ConfigStorage::open(backend.clone()).await.unwrap(),
        ConfigStorage::open(backend.clone()).await.unwrap().reopen().await.unwrap(),
    ] {
        let error = storage.set(Url, "u").await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::ReadOnly, Outcome::NotApplied), "{error}");
    }
    let loaded = backend.load().await.unwrap();
    let error = backend.store(loaded.version(), &Payload::from(r#"{"url":"u"}"#)).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::ReadOnly, Outcome::NotApplied), "{error}");
    assert!(error.hint().is_some(), "{error}");
    assert_eq!(server.emulator().calls(Action::PutSecretValue), 0);
}

#[tokio::test]
async fn read_only_creates_nothing() {
    let server = serve().await;
    let error = ConfigStorage::open_or_create(builder(&server).read_only()).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::ReadOnly, Outcome::NotApplied), "{error}");
    assert_eq!(server.emulator().calls(Action::CreateSecret), 0);
}

#[tokio::test]
async fn open_or_create_uses_the_key() {
    let server = serve().await;
    let storage = ConfigStorage::open_or_create(builder(&server).kms_key_id("alias/ksm")).await.unwrap();
    assert!(storage.is_empty());
    let described = aws_sdk_secretsmanager::Client::new(&sdk_config(&server.url())).describe_secret();
    assert_eq!(described.secret_id(NAME).send().await.unwrap().kms_key_id(), Some("alias/ksm"));
    storage.reopen().await.unwrap();
}

/// An unused key would be ignored silently.
#[tokio::test]
async fn key_without_creation_is_refused() {
    let server = serve().await;
    for opening in [
        ConfigStorage::open(builder(&server).kms_key_id("alias/ksm")).await,
        builder(&server).kms_key_id("alias/ksm").open().await,
        ConfigStorage::open_or_create(
            AwsSecretStorage::from_sdk_config(
                "arn:aws:secretsmanager:us-east-1:123456789012:secret:team/ksm-aBcDeF",
                &sdk_config(&server.url()),
            )
            .kms_key_id("alias/ksm"),
        )
        .await,
    ] {
        let error = opening.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(error.to_string().contains("kms_key_id"), "{error}");
    }
    assert_eq!(server.emulator().calls(Action::CreateSecret), 0);
}
