//! Abstraction over the Secrets Manager API.

use std::{borrow::Cow, fmt, time::SystemTime};

use async_trait::async_trait;
use ksm_storage_core::Payload;

use crate::http::MAX_REPLY;

/// The label of the current version.
pub(crate) const CURRENT: &str = "AWSCURRENT";
/// The label of the version before the current one.
pub(crate) const PREVIOUS: &str = "AWSPREVIOUS";
/// The largest value that the service accepts, in bytes:
/// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html>
pub(crate) const MAX_VALUE: usize = 65_536;

/// Selects a version of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Select {
    /// The version labelled `AWSCURRENT`.
    Current,
    /// The version labelled `AWSPREVIOUS`.
    Previous,
    /// The version with this label.
    Label(String),
    /// The version with this ID, regardless of its labels.
    Id(String),
}

/// A version as returned by `GetSecretValue`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretVersion {
    /// The full ARN of the secret.
    pub arn: String,
    /// The version ID.
    pub id: String,
    /// The labels attached to it.
    pub labels: Vec<String>,
    /// `SecretString` or `SecretBinary`.
    pub value: Payload,
}

/// Parameters of `PutSecretValue`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// Name or ARN.
    pub secret: String,
    /// The `ClientRequestToken`, which becomes the version ID.
    pub token: String,
    /// UTF-8 text, sent as `SecretString`.
    pub value: Payload,
    /// The only label to attach, instead of moving `AWSCURRENT`.
    pub label: Option<&'static str>,
}

/// The reply to `PutSecretValue`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutReply {
    /// The ID of the version that holds the value.
    pub id: String,
    /// The labels that are now attached to it.
    pub labels: Vec<String>,
}

/// Parameters of `CreateSecret`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// The new secret's name.
    pub name: String,
    /// The `ClientRequestToken`.
    pub token: String,
    /// UTF-8 text, sent as `SecretString`.
    pub value: Payload,
    /// The encryption key, instead of `aws/secretsmanager`.
    pub kms_key_id: Option<String>,
}

/// Parameters of `UpdateSecretVersionStage` for `AWSCURRENT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveCurrent {
    /// Name or ARN.
    pub secret: String,
    /// The version that receives the label.
    pub to: String,
    /// The version that must currently have the label.
    pub from: String,
}

/// The combined pages of `ListSecretVersionIds`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionList {
    /// The full ARN of the secret.
    pub arn: String,
    /// Every version that the service keeps, including those without labels, in no particular order.
    pub versions: Vec<ListedVersion>,
}

/// A version as listed by `ListSecretVersionIds`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVersion {
    /// The version ID.
    pub id: String,
    /// The labels attached to it.
    pub labels: Vec<String>,
    /// The time at which it was stored.
    pub created: Option<SystemTime>,
}

/// The calls of AWS Secrets Manager that this crate makes.
///
/// [`SdkClient`](crate::SdkClient) is the real implementation; the crate `ksm-storage-emulator` has one that runs
/// in process:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), ksm_storage_aws::Error> {
/// use std::sync::Arc;
///
/// use ksm_storage_aws::{AwsSecretBackend, Concurrency};
/// use ksm_storage_core::ConfigStorage;
/// use ksm_storage_emulator::{Emulator, Value};
///
/// let emulator = Emulator::new("us-east-1");
/// emulator.secret("ksm-config").overwrite(Value::Text("{}".into()));
/// let client = Arc::new(emulator);
/// let backend = AwsSecretBackend::new(client, "ksm-config".parse()?, "us-east-1", Concurrency::Strict);
/// assert!(ConfigStorage::open(backend).await?.is_empty());
/// # Ok(())
/// # }
/// ```
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait SecretsClient: fmt::Debug + Send + Sync + 'static {
    /// Calls `GetSecretValue`.
    async fn get(&self, secret: &str, version: &Select) -> Result<SecretVersion, CallError>;

    /// Calls `PutSecretValue`. May send the request several times with the same token and value;
    /// [`CallError::unanswered`] must then state whether any request sent was not refused.
    async fn put(&self, put: &Put) -> Result<PutReply, CallError>;

    /// Calls `CreateSecret`. May send the request several times with the same token and value.
    async fn create(&self, create: &Create) -> Result<(), CallError>;

    /// Calls `UpdateSecretVersionStage`. If it sends the request several times, [`CallError::unanswered`] must state
    /// whether any was not refused.
    async fn move_current(&self, request: &MoveCurrent) -> Result<(), CallError>;

    /// The primary region of a replica secret, from `DescribeSecret`. Used only to word an error.
    async fn primary_region(&self, secret: &str) -> Result<Option<String>, CallError>;

    /// Calls `ListSecretVersionIds` with `IncludeDeprecated`, page by page. Used only by
    /// [`AwsSecretBackend::versions`](crate::AwsSecretBackend::versions).
    async fn versions(&self, secret: &str) -> Result<VersionList, CallError>;
}

/// The failure of a call. Contains nothing that was sent or received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    /// The stage that the call reached.
    pub failure: Failure,
    /// The cause on one line, replacing the generic message for the stage: a host and its failure, or a principal and
    /// the denied action. Quotes nothing else of a reply.
    pub message: Option<Box<str>>,
    /// The hint for that cause.
    pub hint: Option<Box<str>>,
    /// The service's error code.
    pub code: Option<String>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The service's request ID, for AWS support.
    pub request_id: Option<String>,
    /// True if a request of this call was or may have been sent. False without a connection.
    pub sent: bool,
    /// True if one of this call's requests was sent and not refused: it may have been carried out, whatever the last
    /// reply says. Requests that were never sent do not count.
    pub unanswered: bool,
}

/// The stage that a failed call reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The service replied with an error.
    Answered,
    /// The request could not be built, for this reason. Nothing was sent.
    NotBuilt(Cow<'static, str>),
    /// No credentials could be obtained, for this reason. Nothing was sent.
    NoCredentials(Cow<'static, str>),
    /// No reply arrived in time.
    TimedOut,
    /// The connection could not be made, or it broke; see [`CallError::sent`].
    Disconnected,
    /// TLS could not be established: a certificate is untrusted, expired, or for another host. Nothing was sent.
    Untrusted,
    /// The reply could not be parsed.
    Unreadable,
    /// The reply is longer than any that the service sends.
    TooLong,
    /// A dependency panicked during this step.
    Panicked(&'static str),
}

impl CallError {
    /// A call that failed at this stage without a reply.
    pub fn new(failure: Failure) -> Self {
        let sent = !matches!(failure, Failure::NotBuilt(_) | Failure::NoCredentials(_) | Failure::Untrusted);
        Self {
            failure,
            message: None,
            hint: None,
            code: None,
            status: None,
            request_id: None,
            sent,
            unanswered: false,
        }
    }

    /// A reply with an error code.
    pub fn answered(status: u16, code: impl Into<String>) -> Self {
        Self { code: Some(code.into()), status: Some(status), ..Self::new(Failure::Answered) }
    }

    pub(crate) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failure {
            _ if self.message.is_some() => f.write_str(self.message.as_deref().unwrap_or_default())?,
            Failure::Answered => f.write_str("the service answered")?,
            Failure::NotBuilt(reason) | Failure::NoCredentials(reason) => f.write_str(reason)?,
            Failure::TimedOut if !self.sent => f.write_str("nothing could be sent in time")?,
            Failure::TimedOut => f.write_str("no reply arrived in time")?,
            Failure::Disconnected if !self.sent => f.write_str("no connection could be made")?,
            Failure::Disconnected => f.write_str("the connection broke")?,
            Failure::Untrusted => f.write_str("TLS could not be established")?,
            Failure::Unreadable => f.write_str("the reply cannot be read")?,
            Failure::TooLong => write!(f, "the reply is longer than {MAX_REPLY} bytes")?,
            Failure::Panicked(step) => write!(f, "a dependency panicked during {step}")?,
        }
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if let Some(status) = self.status {
            write!(f, " (HTTP {status})")?;
        }
        if let Some(id) = &self.request_id {
            write!(f, ", request {id}")?;
        }
        Ok(())
    }
}

impl std::error::Error for CallError {}
