//! `bind`: turns a one-time token into a client.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use ksm_storage::{
    BindState, ConfigStorage, Outcome, SecretString, Snapshot,
    keeper::{self, KeeperClient},
};
use serde_json::json;

use crate::{
    cli::{Bind, Global},
    failure::{Failure, Result},
    output::Output,
    storage::{self, Access, Setting},
    token,
};

pub(crate) async fn run(args: Bind, global: &Global, output: Output) -> Result<()> {
    let given = token::given(args.token_file.as_deref())?;
    let selected = storage::url(global)?;
    let opened = storage::open_url_writable(&selected, Access::writing(args.create)).await?;
    let storage = &opened.storage;
    let (location, before) = (storage.location(), storage.snapshot());
    let needs_token = before.bind_state() != BindState::Bound || args.rebind;
    // A person is asked only after the remarks.
    let given = match given {
        None if needs_token && !io::stdin().is_terminal() => Some(token::ask()?),
        given => given,
    };
    let writer = opened.announce(output).await;
    if needs_token {
        output.remark(&format!(
            "If token, document and host are accepted, two new versions are written to {location}:\n\
             a key pair, then Keeper's reply.\n\
             Keeper locks the client to the external IP address of this host, unless the token was created with --unlock-ip."
        ));
    }
    let token = match given {
        None if needs_token => Some(token::ask()?),
        given => given,
    };
    let bound = bind(&args, storage.clone(), token).await;
    bound.map_err(|error| explained(error, &before, &storage.snapshot(), &selected))?;

    let after = storage.snapshot();
    let written = after.version() != before.version();
    let json = json!({
        "location": location.to_string(),
        "version": after.version().to_string(),
        "bind_state": after.bind_state().as_str(),
        "written": written,
    });
    let text = if written {
        format!("bound: {location}, version {}\n", after.version())
    } else {
        format!("already bound, so nothing was written: {location}\n")
    };
    output.written(&writer, json, &text)
}

/// The failure with this command's remedies, and the way back to the client that a rebind has replaced.
fn explained(error: keeper::Error, before: &Snapshot, after: &Snapshot, selected: &Setting) -> Failure {
    let kind = error.kind();
    let failure = Failure::from(error);
    let failure = match kind {
        keeper::ErrorKind::Storage if failure.outcome == Outcome::Unknown => {
            failure.and_remedy("then run the same command again: with the same token, it resumes")
        }
        keeper::ErrorKind::NotSaved if failure.outcome == Outcome::Unknown => failure.with_remedy(
            "then run the same command again with the same token: if it took effect, nothing is written; if Keeper \
             refuses the token, create a new one, then `ksm-storage bind --rebind`",
        ),
        keeper::ErrorKind::NotSaved => failure.with_remedy(
            "Keeper's reply is lost with this command: repair the storage, then bind again with the same token; if \
             Keeper refuses that, create a new one, then `ksm-storage bind --rebind`",
        ),
        keeper::ErrorKind::TokenMismatch if before.bind_state() == BindState::Bound => failure.with_remedy(
            "omit the token to keep it, or replace it with this token: `ksm-storage bind --rebind`",
        ),
        keeper::ErrorKind::TokenMismatch => failure.with_remedy(
            "continue with that token, or, if it is spent, bind with this one: `ksm-storage bind --rebind`",
        ),
        keeper::ErrorKind::TokenSpent => failure.with_remedy(
            "create a new one, then `ksm-storage bind --rebind`; or correct the host name (--host)",
        ),
        _ => failure,
    };
    let is_replaced = after.version() != before.version() && after.bind_state() != BindState::Bound;
    if before.bind_state() != BindState::Bound || !is_replaced {
        return failure;
    }
    let option = selected.option();
    let back = if selected.is_aws() {
        format!("`ksm-storage restore {} {option}`", before.version())
    } else {
        format!("import a backup: `ksm-storage import FILE --replace {option}`")
    };
    failure.and_remedy(&format!("the former client was replaced; to go back to it: {back}"))
}

async fn bind(args: &Bind, storage: ConfigStorage, token: Option<SecretString>) -> Result<(), keeper::Error> {
    let mut builder = KeeperClient::builder();
    if let Some(host) = &args.host {
        builder = builder.hostname(host);
    }
    if let Some(key) = &args.server_public_key {
        builder = builder.server_public_key(key);
    }
    if let Some(id) = &args.server_public_key_id {
        builder = builder.server_public_key_id(id);
    }
    if let Some(token) = token {
        builder = builder.token(token);
    }
    let bound = if args.rebind { builder.rebind(storage).await } else { builder.open(storage).await };
    let outcome = |error: &keeper::Error| error.storage_error().map(ksm_storage::Error::outcome);
    let Err(mut error) = bound else { return Ok(()) };
    // Keeper may not return the application key twice, so its reply must not be lost with this process.
    for seconds in [1, 2, 4] {
        let Some(client) = error.unsaved().cloned() else { break };
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        match client.save().await {
            Ok(()) => return Ok(()),
            // An attempt that wrote nothing does not settle an earlier one.
            Err(_) if outcome(&error) == Some(Outcome::Unknown) => {}
            Err(again) => error = again,
        }
    }
    Err(error)
}
