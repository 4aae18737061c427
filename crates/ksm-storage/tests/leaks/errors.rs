//! Errors of every kind and operation, and those for files that are refused.

use std::{
    error::Error as _,
    fs,
    sync::{Arc, LazyLock, Mutex},
};

use ksm_storage::{
    Capabilities, ConfigKey, ConfigStorage, Error, ErrorKind, Location, Operation, Payload, Result,
    StorageBackend, StoreOutcome, Stored, Version, file::FileBackend, memory::MemoryBackend,
};
use ksm_storage_testkit::canary::{canary, is_shown};

use crate::{LOG, assert_log_is_clean, document, sources::variants};

fn assert_clean(error: &Error) {
    let mut texts = vec![error.to_string(), format!("{error:?} {error:#?}")];
    let mut source = error.source();
    while let Some(error) = source {
        texts.push(error.to_string());
        source = error.source();
    }
    assert!(!texts.iter().any(|text| is_shown(text)), "{texts:?}");
}

/// A memory backend that can be made to fail with an error kind.
#[derive(Clone, Debug)]
struct Failing(Arc<Mutex<Option<ErrorKind>>>, MemoryBackend);

impl Failing {
    fn fail(&self) -> Result<()> {
        match *self.0.lock().unwrap() {
            Some(kind) => Err(Error::new(kind, "on demand").with_hint("wait")),
            None => Ok(()),
        }
    }
}

#[async_trait::async_trait]
impl StorageBackend for Failing {
    fn location(&self) -> Location {
        Location::new("failing", "1")
    }

    fn capabilities(&self) -> Capabilities {
        self.1.capabilities()
    }

    async fn load(&self) -> Result<Stored> {
        self.fail()?;
        self.1.load().await
    }

    async fn confirm(&self, version: &Version) -> Result<bool> {
        self.1.confirm(version).await
    }

    async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        self.fail()?;
        self.1.store(expected, payload).await
    }
}

const KINDS: [ErrorKind; 18] = [
    ErrorKind::AccessDenied,
    ErrorKind::Conflict,
    ErrorKind::Credentials,
    ErrorKind::Displaced,
    ErrorKind::Interrupted,
    ErrorKind::InvalidArgument,
    ErrorKind::InvalidConfig,
    ErrorKind::NotFound,
    ErrorKind::QuotaExceeded,
    ErrorKind::ReadOnly,
    ErrorKind::Refused,
    ErrorKind::Runtime,
    ErrorKind::Throttled,
    ErrorKind::Timeout,
    ErrorKind::TooLarge,
    ErrorKind::Unavailable,
    ErrorKind::Unexpected,
    ErrorKind::Unsupported,
];
const OPERATIONS: [Operation; 9] = [
    Operation::Delete,
    Operation::DeleteAll,
    Operation::Open,
    Operation::OpenOrCreate,
    Operation::Refresh,
    Operation::Replace,
    Operation::Save,
    Operation::Set,
    Operation::Update,
];

async fn call(operation: Operation, handle: &ConfigStorage, backend: &Failing) -> Option<Error> {
    let snapshot = handle.snapshot();
    let mut document = snapshot.document().clone();
    document.set(ConfigKey::Url, canary("new"));
    match operation {
        Operation::Delete => handle.delete(ConfigKey::Url).await.err(),
        Operation::DeleteAll => handle.delete_all().await.err(),
        Operation::Open => ConfigStorage::open(backend.clone()).await.err(),
        Operation::OpenOrCreate => ConfigStorage::open_or_create(backend.clone()).await.err(),
        Operation::Refresh => handle.refresh().await.err(),
        Operation::Replace => handle.replace(document).await.err(),
        Operation::Save => handle.save(&snapshot, document).await.err(),
        Operation::Set => handle.set(ConfigKey::Url, canary("new")).await.err(),
        _ => handle
            .update(move |stored| {
                stored.clone_from(&document);
                Ok::<_, Error>(())
            })
            .await
            .err(),
    }
}

#[tokio::test]
async fn errors_never_show_values() {
    LazyLock::force(&LOG);
    let kinds = include_str!("../../../ksm-storage-core/src/error/kind.rs");
    assert_eq!(variants(kinds, "ErrorKind"), KINDS.map(|kind| format!("{kind:?}")));
    let operations = include_str!("../../../ksm-storage-core/src/error/mod.rs");
    assert_eq!(variants(operations, "Operation"), OPERATIONS.map(|operation| format!("{operation:?}")));
    let backend = Failing(Arc::default(), MemoryBackend::from_config(document()));
    let handle = ConfigStorage::open(backend.clone()).await.unwrap();
    for kind in KINDS {
        *backend.0.lock().unwrap() = Some(kind);
        for operation in OPERATIONS {
            let error = call(operation, &handle, &backend).await.unwrap();
            assert_eq!((error.kind(), error.operation()), (kind, Some(operation)));
            assert_clean(&error);
        }
    }
    // Errors that core itself detects.
    *backend.0.lock().unwrap() = None;
    backend.1.overwrite(Some(canary("no document").into()));
    for operation in OPERATIONS {
        let error = call(operation, &handle, &backend).await.unwrap();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::InvalidConfig, Some(operation)));
        assert_clean(&error);
    }
    assert_log_is_clean("load");
}

#[cfg(unix)]
#[tokio::test]
async fn no_refused_file_is_quoted() {
    use std::os::unix::fs::PermissionsExt;

    LazyLock::force(&LOG);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str, mode: u32| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let long = canary("long").repeat(5_000);
    for (path, kind) in [
        (file("readable", &document(), 0o640), ErrorKind::AccessDenied),
        (file("malformed", &canary("malformed"), 0o600), ErrorKind::InvalidConfig),
        (file("binary", &format!("{}\u{0}", canary("binary")), 0o600), ErrorKind::InvalidConfig),
        (file("long", &long, 0o600), ErrorKind::InvalidConfig),
        (file("cut", &document()[..200], 0o600), ErrorKind::InvalidConfig),
        (folder.path().to_owned(), ErrorKind::InvalidArgument),
    ] {
        let error = ConfigStorage::open(FileBackend::new(&path)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert_clean(&error);
    }
    let path = file("protected", &document(), 0o400);
    let storage = ConfigStorage::open(FileBackend::new(&path)).await.unwrap();
    let error = storage.set(ConfigKey::Url, canary("new")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied, "{error}");
    assert_clean(&error);
    let path = file("displacing", &document(), 0o600);
    let storage = ConfigStorage::open(FileBackend::new(&path)).await.unwrap();
    storage.set(ConfigKey::Url, canary("new")).await.unwrap();
    fs::write(&path, canary("foreign")).unwrap();
    assert_clean(&storage.refresh().await.unwrap_err());
    assert_log_is_clean("file://");
}
