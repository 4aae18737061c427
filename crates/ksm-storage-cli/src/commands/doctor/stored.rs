//! Checks the stored configuration: access, document, state.

use std::{error, sync::Arc};

use ksm_storage::{
    ConfigStorage, Displaced, Error, ErrorKind, Snapshot, StorageBackend, StoreOutcome, Stored, Writes,
    aws::CallError,
};

use super::{DOCUMENT, KEEPER, SECRET, keeper, report::Report, within};
use crate::{cli::Doctor, exit::Exit, failure::Failure, output::Output, state, storage::Setting};

/// Examines the storage behind a backend; `primary` is the primary region if the secret is a replica.
pub(super) async fn examine(
    report: &mut Report,
    backend: Arc<dyn StorageBackend>,
    primary: Option<String>,
    setting: &Setting,
    args: &Doctor,
    output: Output,
) {
    let is_aws = backend.location().kind() == "aws-sm";
    let opened = ConfigStorage::builder(Arc::clone(&backend)).read_only().open().await;
    let storage = match opened {
        Ok(storage) => storage,
        Err(error) => return unopened(report, error, setting),
    };
    let snapshot = storage.snapshot();
    readable(report, is_aws, &format!("version {}", snapshot.version()));
    write(report, &*backend, primary.as_deref(), args, output).await;
    let document = snapshot.document();
    let known = document.names().count() - document.unknown_keys();
    report.ok("document", format!("{known} known keys, {} unknown", document.unknown_keys()));
    bound(report, &snapshot);
    keeper::examine(report, storage).await;
}

fn readable(report: &mut Report, is_aws: bool, version: &str) {
    if is_aws {
        report.ok("secret", version);
        report.ok("read", "secretsmanager:GetSecretValue is allowed");
        report.ok("kms", "the value can be decrypted");
    } else {
        report.ok("read", version);
    }
}

/// The step at which loading a secret failed.
fn unopened(report: &mut Report, error: Error, setting: &Setting) {
    let is_aws = setting.is_aws();
    if error.kind() == ErrorKind::InvalidConfig {
        readable(report, is_aws, "there is one");
        report.not_checked(&["write"], "there is no configuration to write again");
        let expected = error.hint().unwrap_or("put a configuration, or `{}`, in its place");
        let hint = if is_aws {
            let option = setting.option();
            format!(
                "{expected}; or find an earlier version with `ksm-storage history {option}`, and go back to it with \
                 `ksm-storage restore VERSION {option}`"
            )
        } else {
            expected.to_owned()
        };
        report.failed("document", error.with_hint(hint));
        report.stopped(&["state"]);
    } else if !is_aws {
        report.failed("read", error);
        report.stopped(&DOCUMENT);
    } else if error.kind() == ErrorKind::NotFound {
        report.failed("secret", error);
        report.stopped(&SECRET[1..]);
        report.stopped(&DOCUMENT);
    } else if is_of_key(&error) {
        report.ok("secret", "it exists");
        report.ok("read", "secretsmanager:GetSecretValue is allowed");
        report.failed("kms", error);
        report.stopped(&DOCUMENT);
    } else {
        let because = match error.kind() {
            ErrorKind::AccessDenied => "AWS does not tell a denied role whether it exists",
            _ => "it could not be read",
        };
        report.not_checked(&SECRET[..1], because);
        report.failed("read", error);
        report.stopped(&SECRET[2..]);
        report.stopped(&DOCUMENT);
    }
    report.stopped(&KEEPER);
}

/// True if the KMS key is the cause, not a policy on the secret.
fn is_of_key(error: &Error) -> bool {
    let call = error::Error::source(error).and_then(|source| source.downcast_ref::<CallError>());
    call.and_then(|call| call.code.as_deref()).is_some_and(|code| code.starts_with("DecryptionFailure"))
        || error.to_string().contains("access to the KMS key")
}

async fn write(
    report: &mut Report,
    backend: &dyn StorageBackend,
    primary: Option<&str>,
    args: &Doctor,
    output: Output,
) {
    if backend.capabilities().writes == Writes::ReadOnly {
        report.not_checked(&["write"], "this storage is read-only");
    } else if args.write_check {
        output.remark(&format!("the same content will be written to {} once more", backend.location()));
        match rewrite(backend).await {
            Ok(Written::Quiet(detail)) => report.ok("write", detail),
            Ok(Written::Remarkable(detail, remedy)) => report.warning("write", detail, remedy.as_deref()),
            Err(error) => report.failed("write", error),
        }
    } else if let Some(region) = primary {
        let problem = format!("the secret is a replica of the one in {region}, and can only be read");
        report.warning("write", problem, Some(&format!("a bound client only reads; bind in {region}")));
    } else {
        report.not_checked(&["write"], "--write-check was not given");
    }
}

enum Written {
    Quiet(String),
    /// Carries the remedy.
    Remarkable(String, Option<String>),
}

/// Stores the current content again, provided that it is still current.
async fn rewrite(backend: &dyn StorageBackend) -> Result<Written, Error> {
    let limit = std::time::Duration::from_secs(15);
    let location = backend.location();
    let Stored::Present { version, payload } = within(limit, backend.load()).await? else {
        return Err(
            Error::not_applied(ErrorKind::NotFound, "nothing is stored any more").with_location(location)
        );
    };
    Ok(match within(limit, backend.store(&version, &payload)).await? {
        StoreOutcome::Committed {
            version,
            displaced: Displaced::Foreign { inspect, .. } | Displaced::Cooperative { inspect, .. },
        } => Written::Remarkable(format!("version {version} displaced one of another writer"), inspect),
        StoreOutcome::Committed { version, .. } => {
            Written::Quiet(format!("the same content is now version {version}"))
        }
        StoreOutcome::Conflict { .. } => {
            let remedy = "try again; if it happens again, find the other writer".to_owned();
            Written::Remarkable(
                "another writer was faster, so writing was not checked".to_owned(),
                Some(remedy),
            )
        }
    })
}

fn bound(report: &mut Report, snapshot: &Snapshot) {
    let state = snapshot.bind_state();
    match state::remedy(state) {
        None => report.ok("state", state.as_str()),
        Some(remedy) => {
            let problem = state::problem(state);
            report.failed("state", Failure::new(Exit::Unbound, "unbound", problem, remedy));
        }
    }
}
