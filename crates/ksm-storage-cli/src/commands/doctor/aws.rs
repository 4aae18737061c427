//! Steps between the settings and the secret: network, clock, credentials, identity.

use std::{
    io,
    time::{Duration, SystemTime},
};

use ksm_storage::{
    Error, ErrorKind,
    aws::{AwsSecretBackend, Connection, Peer},
};
use tokio::net::{TcpStream, lookup_host};

use super::{
    ACCOUNT, NETWORK,
    report::{Report, cause},
    within,
};
use crate::{exit::Exit, failure::Failure};

/// Time limit of a name lookup, of a connection, and of requests made only for the report.
const PATIENCE: Duration = Duration::from_secs(5);
/// The service rejects requests whose time is off by five minutes.
const TOLERATED: u64 = 240;
/// Smaller differences can be the time that a reply takes.
const UNREMARKABLE: u64 = 30;

/// Checks the path to the service. Returns `None` if no request about the secret can be made.
pub(super) async fn reach(report: &mut Report, connection: &Connection) -> Option<()> {
    report.ok("region", format!("{}, from {}", connection.region(), connection.region_source()));
    let reached = network(report, connection).await;
    if reached.is_none() {
        report.stopped(&ACCOUNT);
        return None;
    }
    if let Err(error) = within(PATIENCE * 3, connection.check_credentials()).await {
        report.failed("credentials", error);
        report.stopped(&["identity"]);
        return None;
    }
    report.ok("credentials", connection.credentials_source());
    match within(PATIENCE, connection.identity()).await {
        Ok(identity) => report.ok("identity", identity.to_string()),
        Err(error) if error.kind() == ErrorKind::Credentials => {
            report.failed("identity", error);
            return None;
        }
        Err(error) => report.warning(
            "identity",
            format!("not known: {}", cause(&error)),
            Some("not required; to see it, allow sts:GetCallerIdentity and connections to STS"),
        ),
    }
    Some(())
}

async fn network(report: &mut Report, connection: &Connection) -> Option<()> {
    let peer = match connection.peer().await {
        Ok(peer) => peer,
        Err(error) => {
            report.failed("dns", error);
            report.stopped(&NETWORK[1..]);
            return None;
        }
    };
    let (host, port) = peer.first_hop();
    let found = tokio::time::timeout(PATIENCE, lookup_host((host, port))).await;
    let addresses: Vec<_> = match found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            let problem = format!("{peer}: the host name {host} cannot be resolved ({error})");
            let hint =
                format!("check region, endpoint and DNS: getent hosts {}", ksm_storage::shell_word(host));
            report.failed("dns", unavailable(problem, &hint));
            report.stopped(&NETWORK[1..]);
            return None;
        }
    };
    let proxied =
        peer.proxy_variable().map(|name| format!(", the proxy that {name} names")).unwrap_or_default();
    let count = if addresses.len() == 1 {
        "one address".to_owned()
    } else {
        format!("{} addresses", addresses.len())
    };
    report.ok("dns", format!("{host}: {count}{proxied}"));

    let connected = tokio::time::timeout(PATIENCE, TcpStream::connect(&addresses[..])).await;
    if let Err(error) = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        let problem = format!("{peer}: no connection to {host}, port {port}: {}", error.kind());
        let hint = match peer.proxy_variable() {
            Some(name) => {
                format!("check that the proxy is up, correct {name}, or name the host in NO_PROXY")
            }
            None => "check firewall, security group, VPC endpoint, region and endpoint".to_owned(),
        };
        report.failed("tcp", unavailable(problem, &hint));
        report.stopped(&NETWORK[2..]);
        return None;
    }
    report.ok("tcp", format!("port {port} answers"));
    secured(report, connection, &peer).await
}

/// Checks the steps that need a request.
async fn secured(report: &mut Report, connection: &Connection, peer: &Peer) -> Option<()> {
    let reply = within(PATIENCE * 2, connection.service_time()).await;
    let is_of_proxy =
        |error: &Error| peer.proxy_variable().is_some() && error.to_string().contains(": the proxy ");
    match reply {
        Err(error) if is_of_proxy(&error) => {
            report.failed("proxy", error);
            report.stopped(&NETWORK[3..]);
            None
        }
        Err(error) => {
            report.ok("proxy", peer.proxy_variable().unwrap_or("none"));
            report.failed("tls", error);
            report.stopped(&NETWORK[4..]);
            None
        }
        Ok(time) => {
            report.ok("proxy", peer.proxy_variable().unwrap_or("none"));
            let way = if peer.is_secured() { "the certificate is trusted" } else { "plain http on loopback" };
            report.ok("tls", format!("{way}; {peer} answers"));
            clock(report, time);
            Some(())
        }
    }
}

fn clock(report: &mut Report, theirs: Option<SystemTime>) {
    let Some(theirs) = theirs else {
        report.not_checked(&["clock"], "the service's reply has no date");
        return;
    };
    let (off, direction) = match SystemTime::now().duration_since(theirs) {
        Ok(ahead) => (ahead.as_secs(), "ahead of"),
        Err(behind) => (behind.duration().as_secs(), "behind"),
    };
    let hint = "compare it with the true time (date -u), and switch on NTP (timedatectl set-ntp true)";
    let problem = format!("the clock of this host is {off} s {direction} the service");
    match off {
        0..UNREMARKABLE => report.ok("clock", format!("{off} s {direction} the service")),
        UNREMARKABLE..TOLERATED => report.warning("clock", problem, Some(hint)),
        _ => {
            report
                .failed("clock", Failure::new(Exit::Denied, ErrorKind::Credentials.as_str(), problem, hint));
        }
    }
}

fn unavailable(problem: String, hint: &str) -> Failure {
    Failure::new(Exit::Unavailable, ErrorKind::Unavailable.as_str(), problem, hint)
}

/// The primary region, if the secret is a replica and this role may see it.
pub(super) async fn replica(backend: &AwsSecretBackend) -> Option<String> {
    within(PATIENCE, backend.replica_of()).await.ok().flatten()
}
