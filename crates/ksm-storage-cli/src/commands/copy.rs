//! `copy`: copies a configuration to another storage.

use ksm_storage::{Error, ErrorKind, Outcome};
use serde_json::json;

use super::change::{Changes, check_replaceable};
use crate::{
    cli::{Copy, Global},
    failure::{Failure, Result},
    output::Output,
    storage::{Access, Setting, open_url, open_url_writable},
};

/// The storage that is written.
pub(crate) fn target(args: &Copy) -> Setting {
    Setting::new(args.to.clone(), "the argument TO")
}

pub(crate) async fn run(args: Copy, global: &Global, output: Output) -> Result<()> {
    if global.storage.is_some() {
        return Err(Failure::usage("copy takes no --storage", "name both storages as arguments"));
    }
    let written = target(&args);
    let from = open_url(&Setting::new(args.from, "the argument FROM"), Access::Read).await?;
    let opened = open_url_writable(&written, Access::writing(args.create)).await?;
    let to = &opened.storage;
    let (source, before, location) = (from.snapshot(), to.snapshot(), to.location());
    let changes = Changes::between(before.document(), source.document());
    if changes.differ && !args.replace {
        check_replaceable(before.document()).map_err(|error| error.with_location(location.clone()))?;
    }
    let writer = opened.announce(output).await;
    if changes.differ {
        to.save(&before, source.document().clone()).await?;
        // From the store, not from memory.
        let read = to.refresh().await.map_err(|error| {
            Failure::from(error)
                .after_write("the copy is stored, but could not be read back")
                .and_remedy(&format!("then look at the copy: `ksm-storage status {}`", written.option()))
        })?;
        if read.document() != source.document() {
            let error = Error::new(ErrorKind::Conflict, "another writer has changed the copy since")
                .with_outcome(Outcome::Applied)
                .with_location(location);
            return Err(error.into());
        }
    }
    let after = to.snapshot();
    let json = json!({
        "from": from.location().to_string(),
        "location": location.to_string(),
        "version": after.version().to_string(),
        "changes": changes.to_json(),
        "written": changes.differ,
    });
    let text = if changes.differ {
        format!("copied, and read back: {location}, version {}\n{}", after.version(), changes.to_text())
    } else {
        format!("already stored, so nothing was written: {location}\n")
    };
    output.written(&writer, json, &text)
}
