//! `restore`: stores the content of an earlier version again.

use ksm_storage::{ConfigDocument, Error, ErrorKind, StoreOutcome, Version, aws::AwsSecretBackend};
use serde_json::json;

use super::{change::Changes, confirm::confirm, history};
use crate::{
    cli::{Global, Restore},
    failure::{Failure, Result},
    output::Output,
    storage::{self, Access, Setting},
};

pub(crate) async fn run(args: &Restore, global: &Global, output: Output) -> Result<()> {
    let selected = storage::url(global)?;
    let backend = history::backend(global).await?;
    let opened = match storage::open_writable(global, Access::Remove).await {
        Err(failure) if failure.kind == ErrorKind::InvalidConfig.as_str() => {
            return replace(args, global, output, &backend, &selected).await;
        }
        opened => opened?,
    };
    let version = Version::new(args.version.as_str());
    let earlier = earlier(&backend, &version, &selected).await?;
    let writer = opened.announce(output).await;
    let storage = opened.storage;

    let (before, location) = (storage.snapshot(), storage.location());
    let changes = Changes::between(before.document(), &earlier);
    let state = earlier.bind_state().as_str();
    if changes.differ {
        if !args.yes {
            confirm(
                output,
                "restore",
                &format!(
                    "{}Restore {version} ({state}) in {location}, with these changes?",
                    changes.to_text()
                ),
            )?;
        }
        storage.save(&before, earlier).await?;
    }
    let after = storage.snapshot();
    let json = json!({
        "location": location.to_string(),
        "restored": version.as_str(),
        "bind_state": state,
        "version": after.version().to_string(),
        "changes": changes.to_json(),
        "written": changes.differ,
    });
    let text = if changes.differ {
        format!("restored: {location}, version {} ({state})\n{}", after.version(), changes.to_text())
    } else {
        format!("already stored, so nothing was written: {location}\n")
    };
    output.written(&writer, json, &text)
}

async fn earlier(
    backend: &AwsSecretBackend,
    version: &Version,
    selected: &Setting,
) -> Result<ConfigDocument> {
    let payload = backend.version(version).await.map_err(|error| {
        let is_mistyped = matches!(error.kind(), ErrorKind::InvalidArgument | ErrorKind::NotFound);
        let failure = Failure::from(error);
        if is_mistyped {
            failure.with_remedy(format!("list the versions: `ksm-storage history {}`", selected.option()))
        } else {
            failure
        }
    })?;
    let parsed = ConfigDocument::parse(payload.as_bytes());
    parsed.map_err(|error| Failure::from(error).within(&format!("version {version}")))
}

/// Replaces a value that is not a configuration with the version, provided that the value is still current.
async fn replace(
    args: &Restore,
    global: &Global,
    output: Output,
    history: &AwsSecretBackend,
    selected: &Setting,
) -> Result<()> {
    let (backend, found) = storage::connect(global).await?;
    let (location, stored) = (backend.location(), backend.load().await?);
    let earlier = earlier(history, &Version::new(args.version.as_str()), selected).await?;
    let writer = found.announce(output).await;
    let state = earlier.bind_state().as_str();
    if !args.yes {
        let version = &args.version;
        let question = format!(
            "Restore {version} ({state}) in {location}, replacing a value that is not a configuration?"
        );
        confirm(output, "restore", &question)?;
    }
    let written = backend.store(stored.version(), &earlier.to_payload()).await;
    let version = match written.map_err(|error| Failure::of_write(error, &location))? {
        StoreOutcome::Committed { version, .. } => version,
        StoreOutcome::Conflict { .. } => {
            let error = Error::not_applied(ErrorKind::Conflict, "another writer was faster");
            return Err(error
                .with_hint("look at what it stored, then try again")
                .with_location(location)
                .into());
        }
    };
    let json = json!({
        "location": location.to_string(),
        "restored": args.version,
        "bind_state": state,
        "version": version.to_string(),
        "changes": Changes::between(&ConfigDocument::default(), &earlier).to_json(),
        "written": true,
    });
    let text = format!(
        "restored: {location}, version {version} ({state}); the value before was not a configuration\n"
    );
    output.written(&writer, json, &text)
}
