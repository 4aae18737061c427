//! Storages that are opened, read, written in every way, and dropped.

use std::{panic::AssertUnwindSafe, sync::Arc};

use aws_sdk_secretsmanager::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
};
use ksm_storage::{
    ConfigDocument, ConfigKey, ConfigStorage, Error, ErrorKind, ExposeSecret, SecretString,
    aws::{AwsSecretBackend, AwsSecretStorage, Concurrency},
    blocking,
    file::FileBackend,
    memory::MemoryBackend,
};
use ksm_storage_emulator::{Emulator, Value};
use zeroize::Zeroizing;

use crate::{
    child::{Steps, variable},
    document,
};

pub(crate) fn scenario(name: &str, steps: &Steps) {
    steps.after("start");
    let secret = || steps.needle.reveal();
    match name {
        "memory" => {
            let payload = document::payload(&document::json(secret().expose_secret()));
            steps.drive(used(steps, ConfigStorage::open(MemoryBackend::from_config(payload))));
        }
        "memory, base64" => {
            let payload = document::payload(&document::base64(secret().expose_secret()));
            steps.drive(used(steps, ConfigStorage::open(MemoryBackend::from_config(payload))));
        }
        "memory, malformed" => {
            let payload = document::payload(&document::malformed(secret().expose_secret()));
            steps.drive(async {
                let backend = MemoryBackend::from_config(payload);
                refused(steps, ConfigStorage::open(backend.clone())).await;
                drop(backend);
            });
        }
        "memory, blocking" => {
            blocking(steps);
            steps.after("dropped");
            // There is no runtime on this thread.
            steps.after("runtime ended");
        }
        "file" | "file, base64" => {
            steps.drive(used(steps, ConfigStorage::open(FileBackend::new(variable("PLACE")))));
        }
        "file, malformed" => {
            steps.drive(refused(steps, ConfigStorage::open(FileBackend::new(variable("PLACE")))));
        }
        "aws, in process" => steps.drive(used(steps, in_process(steps, Concurrency::Optimistic))),
        "aws, in process, strict" => steps.drive(used(steps, in_process(steps, Concurrency::Strict))),
        "aws, get" => steps.drive(async {
            let storage = over_http().await.unwrap();
            steps.after("open");
            drop(storage);
        }),
        "aws, put" => steps.drive(async {
            let storage = over_http().await.unwrap();
            storage.set(ConfigKey::AppKey, secret()).await.unwrap();
            steps.after("open");
            drop(storage);
        }),
        "aws sdk, get" => steps.drive(async {
            let reply = client().get_secret_value().secret_id("ksm-config").send().await.unwrap();
            let value = Zeroizing::new(reply.secret_string.unwrap());
            steps.after("open");
            drop(value);
        }),
        "aws sdk, put" => steps.drive(async {
            let client = client();
            // The reads of the protocol: when opening, before the put, and after it.
            let get = async |label: &str| {
                let request = client.get_secret_value().secret_id("ksm-config").version_stage(label);
                Zeroizing::new(request.send().await.unwrap().secret_string.unwrap())
            };
            drop(get("AWSCURRENT").await);
            let mut document = ConfigDocument::parse(get("AWSCURRENT").await.as_bytes()).unwrap();
            document.set(ConfigKey::AppKey, secret());
            let payload = document.to_payload();
            let value = std::str::from_utf8(payload.as_bytes()).unwrap();
            client.put_secret_value().secret_id("ksm-config").secret_string(value).send().await.unwrap();
            drop(get("AWSPREVIOUS").await);
            steps.after("open");
        }),
        other => panic!("{other} is no scenario"),
    }
}

async fn in_process(steps: &Steps, concurrency: Concurrency) -> Result<ConfigStorage, Error> {
    let emulator = Emulator::new("us-east-1");
    let payload = document::payload(&document::json(steps.needle.reveal().expose_secret()));
    emulator.secret("ksm-config").overwrite(Value::Text(payload));
    let id = "ksm-config".parse().unwrap();
    ConfigStorage::open(AwsSecretBackend::new(Arc::new(emulator), id, "us-east-1", concurrency)).await
}

async fn over_http() -> Result<ConfigStorage, Error> {
    AwsSecretStorage::from_custom_config("ksm-config", "AKID", "key", "us-east-1")
        .endpoint_url(variable("PLACE"))
        .open()
        .await
}

fn client() -> Client {
    let config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(Credentials::new("AKID", "key", None, None, "test"))
        .region(Region::new("us-east-1"))
        .endpoint_url(variable("PLACE"))
        .build();
    Client::from_conf(config)
}

async fn refused(steps: &Steps, open: impl Future<Output = Result<ConfigStorage, Error>>) {
    let error = open.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    steps.after("refused");
}

async fn used(steps: &Steps, open: impl Future<Output = Result<ConfigStorage, Error>>) {
    let storage = open.await.unwrap();
    steps.after("open");
    assert!(steps.needle.is(storage.get(ConfigKey::PrivateKey).unwrap().expose_secret()));
    let first = storage.snapshot();
    steps.after("get");
    storage.set(ConfigKey::AppKey, steps.needle.reveal()).await.unwrap();
    storage.set(ConfigKey::AppKey, steps.needle.reveal().expose_secret()).await.unwrap();
    steps.after("set");
    let changed = |document: &mut ConfigDocument| {
        change(document);
        Ok::<_, Error>(())
    };
    storage.update(changed).await.unwrap();
    steps.after("update");
    assert_eq!(storage.update(refused_after).await.unwrap_err().kind(), ErrorKind::Refused);
    let panicking = storage.clone();
    let panicked = tokio::spawn(async move {
        let _ = panicking.update(panicked_after).await;
    });
    assert!(panicked.await.unwrap_err().is_panic());
    steps.after("refuse, panic");
    storage.refresh().await.unwrap();
    let mut document = storage.snapshot().document().clone();
    change(&mut document);
    assert!(storage.save(&first, document.clone()).await.is_err());
    storage.save(&storage.snapshot(), document.clone()).await.unwrap();
    storage.replace(document).await.unwrap();
    steps.after("save, replace");
    storage.delete(ConfigKey::PrivateKey).await.unwrap();
    storage.delete_all().await.unwrap();
    steps.after("delete");
    drop(first);
    drop(storage);
}

fn refused_after(document: &mut ConfigDocument) -> Result<(), Error> {
    change(document);
    Err(Error::refused("on purpose"))
}

fn panicked_after(document: &mut ConfigDocument) -> Result<(), Error> {
    change(document);
    panic!("on purpose")
}

/// Builds values from the secret, one of which needs escapes.
fn change(document: &mut ConfigDocument) {
    let value = document.get(ConfigKey::PrivateKey).unwrap();
    let pieces = ["\"\t", value.expose_secret(), "\n"];
    // A buffer that is too short is reallocated, and one that is too long is shrunk; both leave a copy behind.
    let mut longer = String::with_capacity(pieces.iter().map(|piece| piece.len()).sum());
    longer.extend(pieces);
    let longer = SecretString::from(longer);
    let copy = SecretString::from(value.expose_secret());
    document.set(ConfigKey::ClientKey, copy);
    document.set(ConfigKey::ClientId, longer);
}

fn blocking(steps: &Steps) {
    let payload = document::payload(&document::json(steps.needle.reveal().expose_secret()));
    let backend = Arc::new(MemoryBackend::from_config(payload));
    let stored = MemoryBackend::clone(&backend);
    let (held, storage) = (Arc::downgrade(&backend), blocking::ConfigStorage::open(backend).unwrap());
    steps.after("open");
    storage.set(ConfigKey::AppKey, steps.needle.reveal()).unwrap();
    let changed = |document: &mut ConfigDocument| {
        change(document);
        Ok::<_, Error>(())
    };
    storage.update(changed).unwrap();
    let panics = || storage.update(panicked_after);
    assert!(std::panic::catch_unwind(AssertUnwindSafe(panics)).is_err());
    steps.after("set, update");
    storage.delete(ConfigKey::PrivateKey).unwrap();
    stored.overwrite(None);
    drop(storage);
    // The task of the last write ends on another thread, after the answer, and drops the backend last.
    while held.strong_count() > 0 {
        std::thread::yield_now();
    }
}
