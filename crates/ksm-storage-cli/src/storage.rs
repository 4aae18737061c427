//! The storage that a command works on.

use std::{
    env::{self, VarError},
    sync::Arc,
};

use ksm_storage::{ConfigStorage, Error, ErrorKind, OpenOptions, StorageBackend, StorageUrl, Writes};

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

/// The URL from `--storage`, `KSM_STORAGE` or `KSM_AWS_SECRET`, otherwise that of `ksm-config`.
pub(crate) fn url(global: &Global) -> Result<Setting> {
    let setting = |url: String, origin| Ok(Setting { url, origin });
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
    open_url(&url(global)?.url, access).await
}

/// Opens the storage selected by the global options for writing, and reports location and identity.
pub(crate) async fn open_announced(
    global: &Global,
    access: Access,
    output: Output,
) -> Result<(ConfigStorage, Writer)> {
    open_url_announced(&url(global)?.url, access, output).await
}

/// Opens the storage of a URL for writing, and reports location and identity.
pub(crate) async fn open_url_announced(
    url: &str,
    access: Access,
    output: Output,
) -> Result<(ConfigStorage, Writer)> {
    let found = Found::default();
    let storage = open_found(url, access, &found).await?;
    let writer = found.announce(output).await;
    Ok((storage, writer))
}

/// Connects to the storage selected by the global options without reading it, and reports location and identity.
pub(crate) async fn connect_announced(
    global: &Global,
    output: Output,
) -> Result<(Arc<dyn StorageBackend>, Writer)> {
    let found = Found::default();
    let source = found.schemes().source(&url(global)?.url.parse::<StorageUrl>()?)?;
    let backend = source.connect(&OpenOptions::default()).await?;
    let writer = found.announce(output).await;
    Ok((backend, writer))
}

/// Opens the storage of a URL. Refuses one that never accepts writes before anything is written.
pub(crate) async fn open_url(url: &str, access: Access) -> Result<ConfigStorage> {
    open_found(url, access, &Found::default()).await
}

async fn open_found(url: &str, access: Access, found: &Found) -> Result<ConfigStorage> {
    let source = found.schemes().source(&url.parse::<StorageUrl>()?)?;
    let builder = ConfigStorage::builder(source);
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
