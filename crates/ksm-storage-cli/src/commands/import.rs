//! `import`: stores a configuration from another source.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use ksm_storage::{ConfigDocument, Error};
use serde_json::json;
use zeroize::Zeroizing;

use super::change::{Changes, check_replaceable, keeping_unknown};
use crate::{
    cli::{Global, Import},
    connect::Writer,
    failure::{Failure, Result},
    output::Output,
    storage::{self, Access},
};

/// Room for the largest document in base64 with line breaks, and more.
const MAX_LEN: u64 = 128 * 1024;

pub(crate) async fn run(args: Import, global: &Global, output: Output) -> Result<()> {
    let new = source(&args.source).await?;
    let (storage, writer) = if args.dry_run {
        (storage::open(global, Access::Read).await?, Writer::default())
    } else {
        storage::open_announced(global, Access::writing(args.create), output).await?
    };
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
    let changes = if args.dry_run {
        change(&mut before.document().clone()).map_err(|error| error.with_location(location.clone()))?
    } else {
        storage.update(change).await?
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
        return Ok(storage::open_url(url, Access::Read).await?.snapshot().document().clone());
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
