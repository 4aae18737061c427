//! Checks Keeper: reachable, client accepted, IP lock.

use std::time::Duration;

use ksm_storage::{
    BindState, ConfigStorage,
    keeper::{ErrorKind, KeeperClient},
};

use super::{KEEPER, report::Report};
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
            report.failed(lock, Failure::from(error).with_remedy("create a token without the IP lock, or bind from where the program runs: `ksm-storage bind --rebind`"));
        }
        ErrorKind::AccessDenied => {
            report.ok(reachable, "it answers");
            report.failed(client, Failure::from(error).with_remedy("look for the client in its application in the vault; bind again with `ksm-storage bind --rebind`"));
            report.stopped(&[lock]);
        }
        // Nothing was sent.
        ErrorKind::InvalidConfig => {
            report.not_checked(&[reachable], "the client cannot be started");
            report.failed(
                client,
                Failure::from(error)
                    .with_remedy("restore an earlier version, or bind anew with `ksm-storage bind --rebind`"),
            );
            report.stopped(&[lock]);
        }
        ErrorKind::InvalidArgument => {
            report.failed(reachable, error);
            report.stopped(&[client, lock]);
        }
        _ if is_answer => {
            report.ok(reachable, "it answers");
            let failure = Failure::from(error);
            let remedy = failure.hint.clone().unwrap_or_else(|| {
                "try again later; if it fails again, bind again with `ksm-storage bind --rebind`".to_owned()
            });
            report.failed(client, failure.with_remedy(remedy));
            report.stopped(&[lock]);
        }
        _ => {
            report.failed(reachable, error);
            report.stopped(&[client, lock]);
        }
    }
}
