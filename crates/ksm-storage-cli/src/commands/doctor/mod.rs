//! `doctor`: checks the requirements of a start step by step, with a remedy for each step that fails.

mod aws;
mod keeper;
mod protocol;
mod report;
mod stored;

use std::{env, sync::Arc, time::Duration};

use ksm_storage::{Connect, Error, ErrorKind, OpenOptions, StorageBackend, Stored, aws::RegionUnknown};

use self::report::{Report, cause};
use crate::{
    cli::{Doctor, Global},
    connect::Found,
    exit::Exit,
    failure::Result,
    output::Output,
    storage,
};

/// Variables that affect a start. Their values are not shown, because some are secret.
const VARIABLES: [&str; 30] = [
    "ALL_PROXY",
    "AWS_ACCESS_KEY_ID",
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_ENDPOINT_URL_STS",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_ROLE_ARN",
    "AWS_SESSION_TOKEN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "HTTPS_PROXY",
    "KSM_AWS_SECRET",
    "KSM_CONFIG",
    "KSM_HOSTNAME",
    "KSM_SKIP_VERIFY",
    "KSM_STORAGE",
    "NO_PROXY",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "https_proxy",
];

/// Steps under the names that users see, in their order.
const NETWORK: [&str; 5] = ["dns", "tcp", "proxy", "tls", "clock"];
const ACCOUNT: [&str; 2] = ["credentials", "identity"];
const SECRET: [&str; 3] = ["secret", "read", "kms"];
const DOCUMENT: [&str; 3] = ["write", "document", "state"];
const KEEPER: [&str; 3] = ["keeper", "client", "ip lock"];

pub(crate) async fn run(args: Doctor, global: &Global, output: Output) -> Result<Exit> {
    if let Some(name) = args.scratch_secret.as_deref().filter(|_| args.protocol) {
        return protocol::run(name, global, output).await;
    }
    let report = examine(&args, global, output).await;
    output.result(&report.to_json(), &report.to_text(output))?;
    Ok(report.exit())
}

async fn examine(args: &Doctor, global: &Global, output: Output) -> Report {
    let mut report = Report::default();
    let is_set = |name: &&str| env::var_os(name).is_some_and(|value| !value.is_empty());
    let set: Vec<_> = VARIABLES.into_iter().filter(is_set).collect();
    let set = if set.is_empty() { "none of those that matter".to_owned() } else { set.join(", ") };

    let found = Found::default();
    let parsed = storage::url(global).and_then(|setting| {
        let (url, source) = setting.source(&found)?;
        Ok((url.scheme().to_owned(), setting, source))
    });
    let (scheme, setting, source) = match parsed {
        Ok(parsed) => parsed,
        Err(failure) => {
            report.ok("settings", format!("set: {set}"));
            report.failed("storage", failure);
            return report;
        }
    };
    let (is_aws, origin) = (scheme == "aws-sm", setting.origin);
    let storage = format!("a storage of the scheme {scheme}, from {origin}");
    let options = OpenOptions::default();
    let connected = within(options.deadline, Arc::clone(&source).connect(&options)).await;
    let backend: Arc<dyn StorageBackend> = match connected {
        Ok(backend) => backend,
        Err(error) => {
            unconnected(&mut report, error, &set, storage, is_aws);
            return report;
        }
    };
    report.ok("settings", format!("set: {set}"));
    report.ok("storage", format!("{}, from {origin}", backend.location()));
    if let Some((backend, connection)) = found.backend().zip(found.connection()) {
        if aws::reach(&mut report, connection).await.is_none() {
            report.stopped(&[&SECRET[..], &DOCUMENT, &KEEPER].concat());
            return report;
        }
        for replica in source.replicas() {
            fallback(&mut report, replica).await;
        }
        let replica = aws::replica(backend).await;
        if args.write_check {
            found.announce(output).await;
        }
        stored::examine(&mut report, Arc::new(backend.clone()), replica, &setting, args, output).await;
    } else {
        stored::examine(&mut report, backend, None, &setting, args, output).await;
    }
    report
}

/// Checks a replica on which a program could open.
async fn fallback(report: &mut Report, replica: Arc<dyn Connect>) {
    let options = OpenOptions::default();
    let loaded = async {
        let backend = replica.connect(&options).await?;
        let location = backend.location();
        match backend.load().await.map_err(|error| error.with_location(location.clone()))? {
            Stored::Present { .. } => Ok(location),
            Stored::Absent { absence, .. } => Err(Error::from(absence).with_location(location)),
        }
    };
    match within(options.deadline, loaded).await {
        Ok(location) => report.ok("fallback", format!("{location} can be read")),
        Err(error) => report.warning("fallback", cause(&error), error.hint()),
    }
}

/// Reports that there is no backend: settings contradict each other, the region is unknown, or no source provides
/// credentials.
fn unconnected(report: &mut Report, error: Error, set: &str, storage: String, is_aws: bool) {
    let is_region =
        std::error::Error::source(&error).is_some_and(<dyn std::error::Error>::is::<RegionUnknown>);
    let settings = format!("set: {set}");
    if error.kind() == ErrorKind::InvalidArgument && !is_region {
        report.failed("settings", error);
        report.ok("storage", storage);
        report.stopped(if is_aws { &["region"] } else { &[] });
    } else if is_region {
        report.ok("settings", settings);
        report.ok("storage", storage);
        report.failed("region", error);
    } else if is_aws {
        report.ok("settings", settings);
        report.ok("storage", storage);
        report.not_checked(&["region"], "`credentials` failed, which it depends on");
        report.not_checked(&NETWORK, "`credentials` failed, which it depends on");
        report.failed("credentials", error);
        report.stopped(&["identity"]);
        report.stopped(&[&SECRET[..], &DOCUMENT, &KEEPER].concat());
        return;
    } else {
        report.ok("settings", settings);
        report.failed("storage", error);
    }
    let rest: &[&[&'static str]] =
        if is_aws { &[&NETWORK, &ACCOUNT, &SECRET, &DOCUMENT, &KEEPER] } else { &[&DOCUMENT, &KEEPER] };
    report.stopped(&rest.concat());
}

/// The result, or a timeout.
async fn within<T>(limit: Duration, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
        Err(Error::not_applied(ErrorKind::Timeout, format!("no reply within {limit:?}"))
            .with_hint("check the network"))
    })
}
