//! [`SecretsClient`] over the AWS SDK.

use std::{error, future::Future, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use aws_sdk_secretsmanager::{
    Client, Config,
    config::retry::RetryConfig,
    error::{ProvideErrorMetadata, SdkError},
};
use aws_smithy_runtime::client::retries::{RetryPartition, TokenBucket};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use ksm_storage_core::{Payload, catch_panic};

use crate::{
    client::{
        CURRENT, CallError, Create, Failure, ListedVersion, MoveCurrent, PREVIOUS, Put, PutReply,
        SecretVersion, SecretsClient, Select, VersionList,
    },
    describe::describe,
    endpoint::Purpose,
    guarded::{CheckedCache, Guarded},
    http,
    interceptors::{NoQuickRetry, Requests},
    silence::without_tracing,
    thread::SingleThread,
    trace::Trace,
};

/// Maximum pages of a list. The service keeps about 100 versions plus those of the last day, at 100 per page.
pub(crate) const MAX_PAGES: usize = 32;

/// [`SecretsClient`] over the AWS SDK.
///
/// The SDK's own log events are withheld from the subscriber during a call, because they show the whole of a malformed
/// reply.
#[derive(Clone, Debug)]
pub struct SdkClient {
    client: Client,
    trace: Trace,
    /// The source of the client's credentials, unless only the SDK knows it.
    source: Option<Arc<Guarded>>,
}

impl SdkClient {
    /// Creates a client from this configuration, with some additions. An exhausted version quota is not retried, nor is
    /// a throttled read or put, which the backend retries later. A plain HTTP endpoint is rejected unless it is on
    /// loopback. A reply of more than a mebibyte is an error. If the configuration names no retry partition, the client
    /// gets a retry quota of its own; if it has no HTTP client, it gets one with the TLS library selected by this
    /// crate's features and the proxy named by the environment. Its credentials provider is polled in a thread of its own,
    /// because it may block.
    ///
    /// # Panics
    /// Panics like the SDK's own client if the configuration has no behavior version, or no sleep implementation for
    /// its retries and timeouts.
    pub fn new(config: impl Into<aws_sdk_secretsmanager::config::Builder>) -> Self {
        Self::traced(config.into(), Trace::default(), None, SingleThread::default())
    }

    /// A client whose errors name the setting of its endpoint.
    pub(crate) fn traced(
        config: aws_sdk_secretsmanager::config::Builder,
        trace: Trace,
        source: Option<Arc<Guarded>>,
        thread: SingleThread,
    ) -> Self {
        let config: Config = config.retry_classifier(NoQuickRetry).build();
        let http = match config.http_client() {
            Some(client) => http::guarded(client, Purpose::Services, trace.clone()),
            None => http::client(Purpose::Services, trace.clone()),
        };
        // Otherwise another user of the service in this process could use up the quota of both.
        let own_quota = || RetryPartition::custom("ksm-storage").token_bucket(TokenBucket::default()).build();
        let partition = config.retry_partition().cloned().unwrap_or_else(own_quota);
        let cache = CheckedCache::new(config.identity_cache(), source.as_deref(), thread);
        let config = config.to_builder().http_client(http).identity_cache(cache);
        let config = config.retry_partition(partition).build();
        Self { client: Client::from_conf(config), trace, source }
    }

    async fn call<T, E, F>(&self, call: impl FnOnce(Requests) -> F) -> Result<T, CallError>
    where
        E: error::Error + ProvideErrorMetadata + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        counted(&self.trace, self.source.as_deref(), call).await
    }
}

#[async_trait]
impl SecretsClient for SdkClient {
    async fn get(&self, secret: &str, version: &Select) -> Result<SecretVersion, CallError> {
        let request = self.client.get_secret_value().secret_id(secret);
        let request = match version {
            // Stated explicitly: one emulator has a different default.
            Select::Current => request.version_stage(CURRENT),
            Select::Previous => request.version_stage(PREVIOUS),
            Select::Label(label) => request.version_stage(label),
            Select::Id(id) => request.version_id(id),
        };
        let reply = self.call(|requests| request.customize().interceptor(requests).send()).await?;
        let value = match (reply.secret_string, reply.secret_binary) {
            (Some(text), _) => Payload::from(text),
            (None, Some(blob)) => Payload::from(blob.into_inner()),
            (None, None) => return Err(CallError::new(Failure::Unreadable)),
        };
        match (reply.arn, reply.version_id) {
            (Some(arn), Some(id)) => {
                Ok(SecretVersion { arn, id, labels: reply.version_stages.unwrap_or_default(), value })
            }
            _ => Err(CallError::new(Failure::Unreadable)),
        }
    }

    async fn put(&self, put: &Put) -> Result<PutReply, CallError> {
        let request = self
            .client
            .put_secret_value()
            .secret_id(&put.secret)
            .client_request_token(&put.token)
            .set_version_stages(put.label.map(|label| vec![label.to_owned()]))
            .secret_string(text(&put.value)?);
        let reply = self.call(|requests| request.customize().interceptor(requests).send()).await?;
        let id = reply.version_id.ok_or_else(|| CallError::new(Failure::Unreadable))?;
        Ok(PutReply { id, labels: reply.version_stages.unwrap_or_default() })
    }

    async fn create(&self, create: &Create) -> Result<(), CallError> {
        let request = self
            .client
            .create_secret()
            .name(&create.name)
            .client_request_token(&create.token)
            .secret_string(text(&create.value)?)
            .set_kms_key_id(create.kms_key_id.clone());
        self.call(|requests| request.customize().interceptor(requests).send()).await.map(drop)
    }

    async fn move_current(&self, request: &MoveCurrent) -> Result<(), CallError> {
        let once = Config::builder().retry_config(move_retries());
        let request = self
            .client
            .update_secret_version_stage()
            .secret_id(&request.secret)
            .version_stage(CURRENT)
            .move_to_version_id(&request.to)
            .remove_from_version_id(&request.from);
        let send = |requests| request.customize().config_override(once).interceptor(requests).send();
        self.call(send).await.map(drop)
    }

    async fn primary_region(&self, secret: &str) -> Result<Option<String>, CallError> {
        let request = self.client.describe_secret().secret_id(secret);
        let reply = self.call(|requests| request.customize().interceptor(requests).send()).await?;
        Ok(reply.primary_region)
    }

    async fn versions(&self, secret: &str) -> Result<VersionList, CallError> {
        let (mut versions, mut token) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let request = self.client.list_secret_version_ids().secret_id(secret).include_deprecated(true);
            let request = request.set_next_token(token);
            let reply = self.call(|requests| request.customize().interceptor(requests).send()).await?;
            for listed in reply.versions.unwrap_or_default() {
                versions.push(ListedVersion {
                    id: listed.version_id.ok_or_else(|| CallError::new(Failure::Unreadable))?,
                    labels: listed.version_stages.unwrap_or_default(),
                    created: listed.created_date.and_then(|date| SystemTime::try_from(date).ok()),
                });
            }
            token = reply.next_token;
            if token.is_none() {
                let arn = reply.arn.ok_or_else(|| CallError::new(Failure::Unreadable))?;
                return Ok(VersionList { arn, versions });
            }
        }
        Err(CallError::new(Failure::Unreadable))
    }
}

/// Retries of the request that moves a label: none.
pub(crate) fn move_retries() -> RetryConfig {
    RetryConfig::disabled()
}

fn text(value: &Payload) -> Result<&str, CallError> {
    std::str::from_utf8(value.as_bytes())
        .map_err(|_| CallError::new(Failure::NotBuilt("the value is not UTF-8".into())))
}

/// Makes a call with valid credentials, and counts its requests.
pub(crate) async fn counted<T, E, F>(
    trace: &Trace,
    source: Option<&Guarded>,
    call: impl FnOnce(Requests) -> F,
) -> Result<T, CallError>
where
    E: error::Error + ProvideErrorMetadata + 'static,
    F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
{
    let requests = Requests::default();
    let sent = requests.clone();
    // The call itself may panic too.
    let call = async {
        if let Some(source) = source {
            source.renew().await.map_err(SdkError::construction_failure)?;
        }
        call(sent).await
    };
    let error = match catch_panic("a call of the AWS SDK", without_tracing(call)).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => describe(&error, trace),
        Err(panicked) => CallError::new(Failure::Panicked(panicked.step())),
    };
    Err(requests.tell(error))
}

#[cfg(test)]
mod tests {
    use std::{sync::OnceLock, thread};

    use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
    use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};

    use super::*;

    /// Records the thread that polls it.
    #[derive(Clone, Debug, Default)]
    struct Polled(Arc<OnceLock<thread::ThreadId>>);

    impl ProvideCredentials for Polled {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            self.0.set(thread::current().id()).unwrap();
            future::ProvideCredentials::ready(Ok(Credentials::new("AKIA", "key", None, None, "test")))
        }
    }

    #[tokio::test]
    async fn only_given_providers_need_threads() {
        for is_given in [false, true] {
            let polled = Polled::default();
            let config = Config::builder()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .region(Region::new("us-east-1"))
                .credentials_provider(polled.clone())
                .endpoint_url("http://127.0.0.1:9");
            let own = || Arc::new(Guarded::new(SharedCredentialsProvider::new(polled.clone())));
            let client =
                SdkClient::traced(config, Trace::default(), (!is_given).then(own), SingleThread::default());
            client.get("ksm-config", &Select::Current).await.unwrap_err();
            assert_eq!(*polled.0.get().unwrap() != thread::current().id(), is_given);
        }
    }

    #[tokio::test]
    async fn plain_http_is_refused_unsent() {
        // Not a loopback address, but one that leads nowhere even if it is not rejected.
        let endpoint = "http://0.0.0.0:1";
        let config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("AKIA", "key", None, None, "test"))
            .endpoint_url(endpoint);
        let error = SdkClient::new(config).get("ksm-config", &Select::Current).await.unwrap_err();
        let Failure::NotBuilt(why) = error.failure else { panic!("{error}") };
        assert!(why.contains("plain http"), "{why}");
        assert!(!error.sent && !error.unanswered);
    }
}
