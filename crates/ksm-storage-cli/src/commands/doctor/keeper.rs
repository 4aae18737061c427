//! Checks Keeper: reachable, client accepted, IP lock.

use std::time::Duration;

use ksm_storage::{
    BindState, ConfigStorage,
    keeper::{self, ErrorKind, KeeperClient},
};

use super::{KEEPER, report::Report, report::without_hint};
use crate::failure::Failure;

const PATIENCE: Duration = Duration::from_secs(10);
/// No record has this UID, so only Keeper's reply is transferred.
const NO_RECORD: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// Checks Keeper with a request that returns no records.
pub(super) async fn examine(report: &mut Report, storage: ConfigStorage) {
    if storage.snapshot().bind_state() != BindState::Bound {
        return report.stopped(&KEEPER);
    }
    let opened = KeeperClient::builder().request_timeout(PATIENCE).open(storage).await;
    let answer = match opened {
        Ok(client) => client.get_secrets(&[NO_RECORD]).await.map(drop),
        Err(error) => Err(error),
    };
    let [reachable, client, lock] = KEEPER;
    let Err(error) = answer else {
        report.ok(reachable, "it answers");
        report.ok(client, "it is accepted");
        return report.ok(lock, "requests from this address are accepted");
    };
    let is_answer = error.code().is_some();
    match error.kind() {
        ErrorKind::AccessDenied if error.is_ip_locked() => {
            report.ok(reachable, "it answers");
            report.not_checked(&[client], "the client is locked to an address other than that of this host");
            report.failed(lock, with_remedy(error, "create a token without the IP lock, or bind from where the program runs: `ksm-storage bind --rebind`"));
        }
        ErrorKind::AccessDenied => {
            report.ok(reachable, "it answers");
            report.failed(client, with_remedy(error, "look for the client in its application in the vault; bind again with `ksm-storage bind --rebind`"));
            report.stopped(&[lock]);
        }
        // Nothing was sent.
        ErrorKind::InvalidConfig => {
            report.not_checked(&[reachable], "the client cannot be started");
            report.failed(
                client,
                with_remedy(
                    error,
                    "restore an earlier version, or bind anew with `ksm-storage bind --rebind`",
                ),
            );
            report.stopped(&[lock]);
        }
        ErrorKind::InvalidArgument => {
            report.failed(reachable, with_remedy(error, "correct the setting"));
            report.stopped(&[client, lock]);
        }
        _ if is_answer => {
            report.ok(reachable, "it answers");
            report.failed(
                client,
                with_remedy(
                    error,
                    "try again later; if it fails again, bind again with `ksm-storage bind --rebind`",
                ),
            );
            report.stopped(&[lock]);
        }
        _ => {
            report.failed(
                reachable,
                with_remedy(error, "check network, proxy, and the host name in the configuration"),
            );
            report.stopped(&[client, lock]);
        }
    }
}

/// The failure, with a remedy in terms of this program.
fn with_remedy(error: keeper::Error, remedy: &str) -> Failure {
    let failure = Failure::from(error);
    let cause = without_hint(&failure.message, failure.hint.as_deref());
    // The library's hint, meant for a program, follows the cause.
    let cause = cause.split("; ").next().unwrap_or(&cause);
    Failure { message: format!("{cause}; {remedy}"), hint: Some(remedy.to_owned()), ..failure }
}
