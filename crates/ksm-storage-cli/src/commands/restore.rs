//! `restore`: stores the content of an earlier version again.

use ksm_storage::{ConfigDocument, Version};
use serde_json::json;

use super::{change::Changes, confirm::confirm, history};
use crate::{
    cli::{Global, Restore},
    failure::{Failure, Result},
    output::Output,
    storage::{self, Access},
};

pub(crate) async fn run(args: &Restore, global: &Global, output: Output) -> Result<()> {
    let backend = history::backend(global).await?;
    let storage = storage::open_announced(global, Access::Remove, output).await?;
    let version = Version::new(args.version.as_str());
    let payload = backend.version(&version).await?;
    let earlier = ConfigDocument::parse(payload.as_bytes()).map_err(|error| {
        let failure = Failure::from(error);
        Failure { message: format!("version {version}: {}", failure.message), ..failure }
    })?;

    let (before, location) = (storage.snapshot(), storage.location());
    let changes = Changes::between(before.document(), &earlier);
    if changes.differ {
        if !args.yes {
            let state = earlier.bind_state().as_str();
            confirm(
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
        "version": after.version().to_string(),
        "changes": changes.to_json(),
        "written": changes.differ,
    });
    let text = if changes.differ {
        format!("restored: {location}, version {}\n{}", after.version(), changes.to_text())
    } else {
        format!("the same is stored already, nothing was written: {location}\n")
    };
    output.result(&json, &text)
}
