//! No `Debug` output of a public type, no error and no event shows a secret value, whatever fails.
#![allow(missing_docs, clippy::unwrap_used)]

mod errors;
mod sources;

use std::{
    any::type_name,
    collections::BTreeSet,
    fmt::Debug,
    io,
    panic::resume_unwind,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use ksm_storage::{
    Absence, BindState, ConfigDocument, ConfigKey, ConfigStorage, Displaced, ErrorKind, OpenOptions,
    Operation, Outcome, Payload, StoreOutcome, Stored, SystemClock, Version, Writes,
    aws::{
        AwsSecretBackend, AwsSecretStorage, Concurrency, Create, Failure, MoveCurrent, Put, PutReply,
        SecretId, SecretsClient, Select,
    },
    blocking, catch_panic,
    file::{Durability, FileBackend},
    keeper::{self, KeeperClient, KeyValueAdapter},
    memory::MemoryBackend,
};
use ksm_storage_emulator::{
    Action, ApiError, Emulator, Fault, ResponseFault, Server, TlsFront, Value,
    control::ControlServer,
    fixture::{Aws, Transport},
    keeper as fake,
};
use ksm_storage_testkit::canary::{canary, is_shown};
use sources::public_types;

/// The log output of all tests in this target, at level TRACE.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

static LOG: LazyLock<Output> = LazyLock::new(|| {
    let output = Output::default();
    let shared = output.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(move || shared.clone())
        .init();
    output
});

fn assert_log_is_clean(event: &str) {
    let text = String::from_utf8_lossy(&LOG.0.lock().unwrap()).into_owned();
    assert!(text.contains(event), "no event `{event}` was logged, so this proves nothing");
    let shown = text.lines().find(|line| is_shown(line));
    assert!(shown.is_none(), "{shown:?}");
}

fn document() -> String {
    let known: Vec<_> = ConfigKey::ALL.iter().map(|key| format!(r#""{key}":"{}""#, canary(key))).collect();
    format!(r#"{{{},"other":["{}"]}}"#, known.join(","), canary("other"))
}

/// The full names of the types whose `Debug` output was checked.
#[derive(Default)]
struct CheckedTypes(BTreeSet<String>);

impl CheckedTypes {
    fn at<T: Debug>(&mut self, value: &T) {
        let text = format!("{value:?} {value:#?}");
        assert!(!is_shown(&text), "{text}");
        self.0.insert(type_name::<T>().split('<').next().unwrap().to_owned());
    }
}

#[test]
fn debug_never_shows_values() {
    LazyLock::force(&LOG);
    let mut checked = CheckedTypes::default();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(core_types(&mut checked));
    runtime.block_on(backend_types(&mut checked));
    keeper_types(&mut checked);
    let public = public_types();
    let missing: Vec<_> = public.difference(&checked.0).collect();
    assert!(missing.is_empty(), "nobody looks at the `Debug` of {missing:?}");
    assert_log_is_clean("load");
}

async fn core_types(checked: &mut CheckedTypes) {
    let storage = ConfigStorage::open(MemoryBackend::from_config(document())).await.unwrap();
    let snapshot = storage.snapshot();
    checked.at(&storage);
    checked.at(&snapshot);
    checked.at(snapshot.document());
    checked.at(&storage.get(ConfigKey::Url).unwrap());
    checked.at(&ConfigStorage::builder(MemoryBackend::from_config(document())));
    let payload = Payload::from(document());
    let stored = Stored::present(Version::new("1"), payload.clone());
    checked.at(&payload);
    checked.at(stored.version());
    checked.at(&StoreOutcome::conflict(stored.clone()));
    checked.at(&stored);
    checked.at(&Absence::new("nothing"));
    checked.at(&OpenOptions::default());
    checked.at(&snapshot.verification());
    checked.at(&snapshot.origin());
    checked.at(&storage.changes());
    checked.at(&Displaced::Foreign { version: Version::new("1"), inspect: None });
    checked.at(&ConfigDocument::parse(canary("no document").as_bytes()).unwrap_err());
    checked.at(&storage.location());
    checked.at(&storage.capabilities());
    checked.at(&Writes::Exact);
    checked.at(&SystemClock::new());
    checked.at(&BindState::Bound);
    checked.at(&catch_panic("a step", async { resume_unwind(Box::new(canary("panic"))) }).await.unwrap_err());
    checked.at(&blocking::Driver::new().interrupt(|| false));
    checked.at(&ConfigKey::Url);
    checked.at(&ErrorKind::Conflict);
    checked.at(&Operation::Set);
    checked.at(&Outcome::Unknown);
}

async fn backend_types(checked: &mut CheckedTypes) {
    checked.at(&MemoryBackend::from_config(document()));
    checked.at(&FileBackend::builder("ksm.json"));
    checked.at(&FileBackend::new("ksm.json"));
    checked.at(&Durability::Synced);
    checked.at(&ksm_storage::memory::testing::MemoryFixture::new());
    checked.at(&ksm_storage::file::testing::FileFixture::new(Durability::Synced));
    checked.at(&ksm_storage::aws::Descent::Unknown);

    let emulator = Emulator::new("us-east-1");
    let value = Value::Text(document().into());
    emulator.secret("s").overwrite(value.clone());
    checked.at(&value);
    checked.at(&emulator.secret("s"));
    let found = emulator.get("s", &Select::Current).await.unwrap();
    let list = SecretsClient::versions(&emulator, "s").await.unwrap();
    checked.at(&list.versions[0]);
    checked.at(&list);
    let (client, id): (_, SecretId) = (Arc::new(emulator.clone()), "s".parse().unwrap());
    checked.at(&id);
    checked.at(&AwsSecretBackend::new(client, id, "us-east-1", Concurrency::Strict));
    checked.at(&found);
    checked.at(&Select::Current);
    let (secret, token, value) = ("s".to_owned(), "t".to_owned(), Payload::from(document()));
    checked.at(&Put { secret: secret.clone(), token: token.clone(), value: value.clone(), label: None });
    checked.at(&Create { name: secret.clone(), token: token.clone(), value, kms_key_id: None });
    checked.at(&MoveCurrent { secret, to: token.clone(), from: String::new() });
    checked.at(&PutReply { id: token, labels: Vec::new() });
    checked.at(&emulator.get("none", &Select::Current).await.unwrap_err());
    checked.at(&Failure::Unreadable);
    checked.at(&Concurrency::Strict);
    checked.at(&AwsSecretStorage);
    let custom = AwsSecretStorage::from_custom_config("s", "AKID", canary("secret key"), "us-east-1");
    checked.at(&custom.session_token(canary("session token")));
    let config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(aws_sdk_secretsmanager::config::BehaviorVersion::latest())
        .credentials_provider(aws_sdk_secretsmanager::config::Credentials::new(
            "AKID",
            canary("secret key"),
            Some(canary("session token")),
            None,
            "test",
        ));
    checked.at(&ksm_storage::aws::SdkClient::new(config));

    let server = Server::start(emulator.clone()).await.unwrap();
    let backend = AwsSecretStorage::from_custom_config("s", "AKID", canary("key"), "us-east-1")
        .session_token("session")
        .endpoint_url(server.url())
        .open_backend()
        .await
        .unwrap();
    let kept = backend.versions().await.unwrap().remove(0);
    checked.at(&kept.writer);
    checked.at(&kept);
    let connection = backend.connection().unwrap();
    checked.at(connection);
    checked.at(&connection.peer().await.unwrap());
    checked.at(&connection.identity().await.unwrap());
    checked.at(&ksm_storage::aws::RegionUnknown);
    server.metadata().set_role(Some(["AKID", &canary("role"), &canary("session")]));
    server.metadata().set_token(&canary("metadata"));
    checked.at(&server);
    checked.at(&ControlServer::start(&server, None).await.unwrap());
    checked.at(&TlsFront::start(&server.url()).await.unwrap());
    checked.at(server.metadata());
    checked.at(&emulator);
    checked.at(&Action::GetSecretValue);
    checked.at(&Fault::Delay(Duration::ZERO));
    checked.at(&ResponseFault::Reset);
    checked.at(&ApiError { code: "Code".into(), message: String::new() });
}

fn keeper_types(checked: &mut CheckedTypes) {
    let fake = fake::FakeKeeper::start(fake::AppKeyPolicy::Once).unwrap();
    let storage = blocking::ConfigStorage::open(MemoryBackend::from_config(document())).unwrap();
    checked.at(&storage);
    checked.at(&storage.changes());
    checked.at(&KeyValueAdapter::new(storage.clone()));
    let builder = || {
        KeeperClient::builder()
            .hostname(fake.hostname())
            .server_public_key(fake.server_public_key())
            .server_public_key_id(fake.server_public_key_id())
            .insecure_skip_verify()
            .token(canary("token"))
            .proxy_url(canary("proxy"))
    };
    checked.at(&builder());
    checked.at(&keeper::blocking::KeeperClient::open(builder(), storage.clone()).unwrap_err());
    let known = ["bat", "bindingKey", "url", "appUid"].map(|key| format!(r#""{key}":"{}""#, canary(key)));
    let backend = MemoryBackend::from_config(format!("{{{}}}", known.join(",")));
    let storage = blocking::ConfigStorage::open(backend).unwrap();
    let client = builder().token(fake.issue_token()).proxy_url("");
    let client = keeper::blocking::KeeperClient::open(client, storage.clone()).unwrap();
    checked.at(&client);
    let opened = storage.run_async(|storage| async move {
        KeeperClient::builder().insecure_skip_verify().open(storage).await.unwrap()
    });
    checked.at(&opened.unwrap());
    checked.at(&fake);
    checked.at(&fake::AppKeyPolicy::Once);
    checked.at(&Aws(Concurrency::Strict, Transport::InProcess));
    checked.at(&Transport::Http);
    checked.at(&fake::Fault::Deny);
    checked.at(&fake::RecordedRequest {
        action: "get_secret".to_owned(),
        status: None,
        with_public_key: true,
    });
    checked.at(&keeper::ErrorKind::Sdk);
}
