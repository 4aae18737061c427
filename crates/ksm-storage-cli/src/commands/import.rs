//! `import`: stores a configuration from another source.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use ksm_storage::{BindState, ConfigDocument, Error, ErrorKind};
use serde_json::json;
use zeroize::Zeroizing;

use super::change::{Changes, check_replaceable, keeping_unknown};
use crate::{
    cli::{Global, Import},
    connect::Writer,
    failure::{Failure, Result},
    output::Output,
    storage::{self, Access, Setting},
};

/// Room for the largest document in base64 with line breaks, and more.
const MAX_LEN: u64 = 128 * 1024;

pub(crate) async fn run(args: Import, global: &Global, output: Output) -> Result<()> {
    let new = source(&args.source).await?;
    if new.bind_state() == BindState::Unrecognized {
        let problem = "the imported document has keys, but none of a Keeper configuration";
        let error = Error::not_applied(ErrorKind::InvalidConfig, problem);
        return Err(error
            .with_hint("import the file that a Keeper SDK writes, or the value of KSM_CONFIG alone")
            .into());
    }
    let access = if args.dry_run { Access::Read } else { Access::writing(args.create) };
    let opened = storage::open_writable(global, access).await?;
    let storage = &opened.storage;
    let (before, location, replace) = (storage.snapshot(), storage.location(), args.replace);
    let change = move |document: &mut ConfigDocument| {
        let merged = keeping_unknown(document, &new)?;
        let changes = Changes::between(document, &merged);
        if changes.differ && !replace {
            check_replaceable(document)?;
        }
        *document = merged;
        Ok::<_, Error>(changes)
    };
    let checked = change(&mut before.document().clone());
    let checked = checked.map_err(|error| error.with_location(location.clone()))?;
    let (writer, changes) = if args.dry_run {
        (Writer::default(), checked)
    } else {
        (opened.announce(output).await, storage.update(change).await?)
    };

    let after = storage.snapshot();
    let written = after.version() != before.version();
    let json = json!({
        "location": location.to_string(),
        "version": after.version().to_string(),
        "changes": changes.to_json(),
        "written": written,
    });
    let headline = match (written, changes.differ) {
        (true, _) => format!("imported: {location}, version {}", after.version()),
        (false, true) => format!("would be written to {location}:"),
        (false, false) => format!("already stored, so nothing was written: {location}"),
    };
    output.written(&writer, json, &format!("{headline}\n{}", changes.to_text()))
}

/// Reads a file, standard input or a variable.
async fn source(source: &Path) -> Result<ConfigDocument> {
    if let Some(url) = source.to_str().filter(|source| source.starts_with("env:")) {
        return Ok(storage::open_url(&Setting::new(url, "the argument SOURCE"), Access::Read)
            .await?
            .snapshot()
            .document()
            .clone());
    }
    let is_stdin = source == "-";
    let shown =
        if is_stdin { "standard input".into() } else { ksm_storage::shell_word(&source.to_string_lossy()) };
    let mut bytes = Zeroizing::new(Vec::with_capacity(65_536));
    let read = if is_stdin {
        io::stdin().lock().take(MAX_LEN + 1).read_to_end(&mut bytes)
    } else {
        fs::File::open(source).and_then(|file| file.take(MAX_LEN + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| {
        let failure = Failure::io(&format!("cannot read {shown}"), &error);
        let is_missing = error.kind() == io::ErrorKind::NotFound;
        if is_missing {
            Failure { exit: crate::exit::Exit::NotFound, kind: "not_found", ..failure }
        } else {
            failure
        }
    })?;
    ConfigDocument::parse(&bytes).map_err(|error| Failure::from(error).within(&shown))
}
