//! The storage that a command works on.

use std::{
    env::{self, VarError},
    sync::Arc,
};

use ksm_storage::{
    ConfigStorage, Connect, Error, ErrorKind, OpenOptions, StorageBackend, StorageUrl, Writes,
};

use crate::{
    cli::Global,
    connect::{Found, Writer},
    failure::{Failure, Result},
    output::Output,
};

/// The access that a command needs to a storage.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    /// Removes keys from an existing document.
    Remove,
    /// Writes to an existing document; `--create` was not given.
    Write,
    /// Creates the document if it does not exist.
    Create,
}

impl Access {
    pub(crate) fn writing(create: bool) -> Self {
        if create { Self::Create } else { Self::Write }
    }
}

/// A URL, and where it was found.
pub(crate) struct Setting {
    pub(crate) url: String,
    pub(crate) origin: &'static str,
}

impl Setting {
    pub(crate) fn new(url: impl Into<String>, origin: &'static str) -> Self {
        Self { url: url.into(), origin }
    }

    /// The option that selects this storage, for a command that an error shows.
    ///
    /// The URL as it was given, because a location lacks its parameters. One that was parsed contains no secret.
    pub(crate) fn option(&self) -> String {
        format!("--storage {}", ksm_storage::shell_word(&self.url))
    }

    /// True if the storage is a secret of AWS.
    pub(crate) fn is_aws(&self) -> bool {
        self.url.starts_with("aws-sm:")
    }

    /// The command that shows whether a write to this storage took effect.
    pub(crate) fn look(&self) -> String {
        let command = if self.is_aws() { "history" } else { "status" };
        format!("`ksm-storage {command} {}`", self.option())
    }

    /// Parses the URL, and returns the source that it names. An error names the origin, and repeats nothing that may be
    /// secret.
    pub(crate) fn source(&self, found: &Found) -> Result<(StorageUrl, Arc<dyn Connect>)> {
        let parse = || {
            let url = self.url.parse()?;
            let source = found.schemes().source(&url)?;
            Ok((url, source))
        };
        parse().map_err(|error: Error| Failure::from(error).of_setting(self.origin))
    }
}

/// The URL from `--storage`, `KSM_STORAGE` or `KSM_AWS_SECRET`, otherwise that of `ksm-config`.
pub(crate) fn url(global: &Global) -> Result<Setting> {
    let setting = |url: String, origin| Ok(Setting::new(url, origin));
    if let Some(url) = global.storage.as_deref().filter(|url| !url.is_empty()) {
        return setting(url.to_owned(), "--storage");
    }
    if let Some(url) = variable("KSM_STORAGE")? {
        return setting(url, "KSM_STORAGE");
    }
    match variable("KSM_AWS_SECRET")? {
        Some(key) if key.contains(['?', '#']) => Err(Failure::usage(
            "KSM_AWS_SECRET is not a valid secret ID",
            "expected a name, an ARN or aws-sm://REGION/NAME; a URL with parameters belongs in KSM_STORAGE",
        )),
        Some(key) if key.starts_with("aws-sm:") => setting(key, "KSM_AWS_SECRET"),
        Some(key) => setting(format!("aws-sm:{key}"), "KSM_AWS_SECRET"),
        None => setting("aws-sm:ksm-config".to_owned(), "the default"),
    }
}

fn variable(name: &str) -> Result<Option<String>> {
    match env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.trim().is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => {
            Err(Failure::usage(format!("the variable {name} is not UTF-8"), "correct or remove it"))
        }
    }
}

/// Opens the storage selected by the global options.
pub(crate) async fn open(global: &Global, access: Access) -> Result<ConfigStorage> {
    open_url(&url(global)?, access).await
}

/// A storage opened for writing. [`announce`](Self::announce) after all checks that need no write.
pub(crate) struct Writable {
    pub(crate) storage: ConfigStorage,
    found: Found,
}

impl Writable {
    /// Reports region and identity.
    pub(crate) async fn announce(&self, output: Output) -> Writer {
        self.found.announce(output).await
    }
}

/// Opens the storage selected by the global options for writing.
pub(crate) async fn open_writable(global: &Global, access: Access) -> Result<Writable> {
    open_url_writable(&url(global)?, access).await
}

/// Opens the storage of a URL for writing.
pub(crate) async fn open_url_writable(url: &Setting, access: Access) -> Result<Writable> {
    let found = Found::default();
    Ok(Writable { storage: open_found(url, access, &found).await?, found })
}

/// Connects to the storage selected by the global options without reading it.
pub(crate) async fn connect(global: &Global) -> Result<(Arc<dyn StorageBackend>, Found)> {
    let found = Found::default();
    let (_, source) = url(global)?.source(&found)?;
    let backend = source.connect(&OpenOptions::default()).await?;
    Ok((backend, found))
}

/// Opens the storage of a URL. Refuses one that never accepts writes before anything is written.
pub(crate) async fn open_url(url: &Setting, access: Access) -> Result<ConfigStorage> {
    open_found(url, access, &Found::default()).await
}

async fn open_found(url: &Setting, access: Access, found: &Found) -> Result<ConfigStorage> {
    let builder = ConfigStorage::builder(url.source(found)?.1);
    let storage = match access {
        Access::Read => builder.read_only().open().await?,
        Access::Remove => builder.open().await?,
        Access::Write => builder.open().await.map_err(suggest_create)?,
        Access::Create => builder.open_or_create().await?,
    };
    if access != Access::Read && storage.capabilities().writes == Writes::ReadOnly {
        let mut failure = Failure::refused(
            format!("{} is read-only", storage.location()),
            "choose another storage, or a URL without read_only=true",
        );
        failure.kind = ErrorKind::ReadOnly.as_str();
        return Err(failure);
    }
    Ok(storage)
}

fn suggest_create(error: Error) -> Failure {
    let is_missing = error.kind() == ErrorKind::NotFound;
    let failure = Failure::from(error);
    if is_missing { failure.and_remedy("or use --create") } else { failure }
}
