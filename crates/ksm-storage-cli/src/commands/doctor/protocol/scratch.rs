//! The secret that the checks write to, with direct calls to AWS.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::SystemTime,
};

use aws_sdk_secretsmanager::{
    Client,
    config::{Builder, Region, retry::RetryConfig},
    error::{ProvideErrorMetadata, SdkError},
    types::Tag,
};
use ksm_storage::aws::Connection;

use super::unmarked;
use crate::{
    exit::Exit,
    failure::{Failure, Result},
};

const TAG: &str = "ksm-storage-scratch";
/// Maximum length shown of a service's message.
const SHOWN: usize = 200;

/// A version of the secret, as described by a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) id: String,
    pub(super) labels: Vec<String>,
}

impl Version {
    fn new(id: Option<&str>, labels: &[String]) -> Self {
        let mut labels = labels.to_vec();
        labels.sort();
        Self { id: id.unwrap_or_default().to_owned(), labels }
    }

    pub(super) fn has(&self, label: &str) -> bool {
        self.labels.iter().any(|own| own == label)
    }
}

/// An error reply: the service's code and message.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    pub(super) code: String,
    message: String,
}

impl ApiError {
    fn of<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Self {
        let plain = |text: &str| text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
        Self {
            code: plain(error.code().unwrap_or("no usable reply")),
            message: plain(error.message().unwrap_or_default()),
        }
    }

    pub(super) fn is(&self, code: &str) -> bool {
        self.code == code
    }
}

/// Describes the reply.
pub(super) fn words(answer: &Result<Version, ApiError>) -> String {
    match answer {
        Ok(version) if version.labels.is_empty() => "accepted, without labels".to_owned(),
        Ok(version) => format!("accepted, with {}", version.labels.join(" and ")),
        Err(ApiError { code, message }) if message.is_empty() => code.clone(),
        Err(ApiError { code, message }) => format!("{code}: {message}"),
    }
}

/// A secret created for the checks.
pub(super) struct Scratch {
    client: Client,
    connection: Connection,
    pub(super) name: String,
    /// True if it has no value yet.
    pub(super) fresh: bool,
    pub(super) replicas: Vec<String>,
    run: u128,
    serial: AtomicU32,
}

impl Scratch {
    /// Creates the secret without a value, or opens one left by an earlier run.
    pub(super) async fn open(connection: &Connection, name: &str) -> Result<Self> {
        // The checks concern the reply to each single request.
        let config = Builder::from(connection.sdk_config()).retry_config(RetryConfig::disabled());
        let client = Client::from_conf(config.build());
        let failed = |action: &str, error: &ApiError| {
            let problem = format!(
                "cannot {action} {}: {}: {}",
                ksm_storage::shell_word(name),
                error.code,
                error.message
            );
            let hint = "grant this role the actions that docs/cli.md lists, on this secret";
            Failure::new(Exit::Denied, "access_denied", problem, hint)
        };
        let described = client.describe_secret().secret_id(name).send().await;
        let (fresh, replicas) = match described {
            Ok(secret) if !secret.tags().iter().any(|tag| tag.key() == Some(TAG)) => {
                return Err(unmarked(name));
            }
            Ok(secret) => {
                let regions = secret.replication_status().iter().filter_map(|status| status.region());
                let fresh = secret.version_ids_to_stages().is_none_or(std::collections::HashMap::is_empty);
                (fresh, regions.map(str::to_owned).collect())
            }
            Err(error) => {
                let error = ApiError::of(&error);
                if !error.is("ResourceNotFoundException") {
                    return Err(failed("look at", &error));
                }
                let tag = Tag::builder().key(TAG).value("true").build();
                let created = client.create_secret().name(name).tags(tag).send().await;
                created.map_err(|error| failed("create", &ApiError::of(&error)))?;
                (true, Vec::new())
            }
        };
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Ok(Self {
            client,
            connection: connection.clone(),
            name: name.to_owned(),
            fresh,
            replicas,
            run: since.as_nanos(),
            serial: AtomicU32::new(0),
        })
    }

    pub(super) fn remove_command(&self) -> String {
        format!(
            "aws secretsmanager delete-secret --secret-id {} --force-delete-without-recovery --region {}",
            ksm_storage::shell_word(&self.name),
            self.connection.region()
        )
    }

    /// A token, and hence version ID, that was never used.
    pub(super) fn token(&self) -> String {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        format!("ksm-scratch-{:032}-{serial:04}", self.run)
    }

    pub(super) async fn put(
        &self,
        token: &str,
        value: &str,
        label: Option<&str>,
    ) -> Result<Version, ApiError> {
        self.put_labelled(token, value, label.map(|label| vec![label.to_owned()])).await
    }

    pub(super) async fn put_labelled(
        &self,
        token: &str,
        value: &str,
        labels: Option<Vec<String>>,
    ) -> Result<Version, ApiError> {
        let put = self.client.put_secret_value().secret_id(&self.name).client_request_token(token);
        let reply = put.secret_string(value).set_version_stages(labels).send().await;
        let reply = reply.map_err(|error| ApiError::of(&error))?;
        Ok(Version::new(reply.version_id(), reply.version_stages()))
    }

    /// The version with this label.
    pub(super) async fn labelled(&self, label: &str) -> Result<Version, ApiError> {
        let get = self.client.get_secret_value().secret_id(&self.name).version_stage(label);
        let reply = get.send().await.map_err(|error| ApiError::of(&error))?;
        Ok(Version::new(reply.version_id(), reply.version_stages()))
    }

    pub(super) async fn by_id(&self, id: &str) -> Result<Version, ApiError> {
        let get = self.client.get_secret_value().secret_id(&self.name).version_id(id);
        let reply = get.send().await.map_err(|error| ApiError::of(&error))?;
        Ok(Version::new(reply.version_id(), reply.version_stages()))
    }

    /// The value of the version with this label, of another secret.
    pub(super) async fn missing(&self) -> Result<Version, ApiError> {
        let get = self.client.get_secret_value().secret_id(format!("{}/none", self.name));
        let reply = get.send().await.map_err(|error| ApiError::of(&error))?;
        Ok(Version::new(reply.version_id(), reply.version_stages()))
    }

    /// The current version in another region.
    pub(super) async fn replica(&self, region: &str) -> Result<Version, ApiError> {
        let config = Builder::from(self.connection.sdk_config()).region(Region::new(region.to_owned()));
        let client = Client::from_conf(config.build());
        let get = client.get_secret_value().secret_id(&self.name);
        let reply = get.send().await.map_err(|error| ApiError::of(&error))?;
        Ok(Version::new(reply.version_id(), reply.version_stages()))
    }

    /// Moves `AWSCURRENT`.
    pub(super) async fn move_current(&self, to: &str, from: Option<&str>) -> Result<(), ApiError> {
        let update =
            self.client.update_secret_version_stage().secret_id(&self.name).version_stage("AWSCURRENT");
        let sent =
            update.move_to_version_id(to).set_remove_from_version_id(from.map(str::to_owned)).send().await;
        sent.map(drop).map_err(|error| ApiError::of(&error))
    }

    pub(super) async fn create(&self, token: &str, value: &str) -> Result<(), ApiError> {
        let create = self.client.create_secret().name(&self.name).client_request_token(token);
        create.secret_string(value).send().await.map(drop).map_err(|error| ApiError::of(&error))
    }

    /// The number of versions, including those without labels.
    pub(super) async fn count(&self) -> Option<usize> {
        let list = self.client.list_secret_version_ids().secret_id(&self.name).include_deprecated(true);
        list.max_results(100).send().await.ok().map(|reply| reply.versions().len())
    }

    pub(super) async fn delete(&self) -> Result<(), ApiError> {
        let delete = self.client.delete_secret().secret_id(&self.name).recovery_window_in_days(7);
        delete.send().await.map(drop).map_err(|error| ApiError::of(&error))
    }

    pub(super) async fn restore(&self) -> Result<(), ApiError> {
        let restore = self.client.restore_secret().secret_id(&self.name);
        restore.send().await.map(drop).map_err(|error| ApiError::of(&error))
    }
}
