//! [`SecretsClient`] over the AWS SDK.

use std::{borrow::Cow, error, future::Future, io, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use aws_config::identity::IdentityCache;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_secretsmanager::{
    Client, Config,
    config::retry::RetryConfig,
    error::{ProvideErrorMetadata, SdkError},
    operation::RequestId,
};
use aws_smithy_runtime::client::retries::{RetryPartition, TokenBucket};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::DispatchFailure};
use ksm_storage_core::{Error, ErrorKind, Panicked, Payload, catch_panic};

use crate::{
    cause::Cause,
    client::{
        CURRENT, CallError, Create, Failure, ListedVersion, MoveCurrent, PREVIOUS, Put, PutReply,
        SecretVersion, SecretsClient, Select, VersionList,
    },
    describe::{key_hint, of_connection, of_source, said, skew, slow_source},
    endpoint::Purpose,
    explained::{CLOCK, SourceFailed},
    guarded::{CheckedCache, Guarded},
    http::{self, InterimFlood, ReplyTooLong},
    interceptors::{NoQuickRetry, Requests, Unbuilt},
    setting::InvalidSetting,
    silence::without_tracing,
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
    /// crate's features and the proxy named by the environment.
    ///
    /// # Panics
    /// Panics like the SDK's own client if the configuration has no behavior version, or no sleep implementation for
    /// its retries and timeouts.
    pub fn new(config: impl Into<aws_sdk_secretsmanager::config::Builder>) -> Self {
        Self::traced(config.into(), Trace::default(), None)
    }

    /// A client whose errors name the setting of its endpoint.
    pub(crate) fn traced(
        config: aws_sdk_secretsmanager::config::Builder,
        trace: Trace,
        source: Option<Arc<Guarded>>,
    ) -> Self {
        let config: Config = config.retry_classifier(NoQuickRetry).build();
        let http = match config.http_client() {
            Some(client) => http::guarded(client, Purpose::Services, trace.clone()),
            None => http::client(Purpose::Services, trace.clone()),
        };
        // Otherwise another user of the service in this process could use up the quota of both.
        let own_quota = || RetryPartition::custom("ksm-storage").token_bucket(TokenBucket::default()).build();
        let partition = config.retry_partition().cloned().unwrap_or_else(own_quota);
        let cache = config.identity_cache().unwrap_or_else(|| IdentityCache::lazy().build());
        let config = config.to_builder().http_client(http).identity_cache(CheckedCache(cache));
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

/// The printable part of a failed call. The error itself is dropped: its `Debug` shows the raw reply.
pub(crate) fn describe<E>(error: &SdkError<E, HttpResponse>, trace: &Trace) -> CallError
where
    E: error::Error + ProvideErrorMetadata + 'static,
{
    if let Some(failed) = find::<SourceFailed>(error) {
        return of_source(failed);
    }
    if let Some(CredentialsError::ProviderTimedOut(_)) = find(error) {
        return slow_source();
    }
    let failure = match error {
        SdkError::ServiceError(_) => Failure::Answered,
        SdkError::TimeoutError(_) => Failure::TimedOut,
        SdkError::ResponseError(_) if find::<ReplyTooLong>(error).is_some() => Failure::TooLong,
        SdkError::ResponseError(_) => Failure::Unreadable,
        SdkError::DispatchFailure(failure) => known(error).unwrap_or_else(|| dispatch(failure)),
        _ => known(error).unwrap_or(Failure::NotBuilt(UNBUILT.into())),
    };
    let described = match failure {
        Failure::TimedOut | Failure::Disconnected => of_connection(error, failure, trace),
        Failure::Answered => {
            let skewed = skew(error);
            let of_key = error.message().and_then(key_hint);
            CallError {
                message: skewed.clone().or_else(|| error.message().and_then(said)).map(Into::into),
                hint: skewed.map(|_| CLOCK).or(of_key).map(Into::into),
                ..CallError::new(failure)
            }
        }
        failure => CallError {
            hint: find::<InvalidSetting>(error).map(|invalid| invalid.hint().into()),
            ..CallError::new(failure)
        },
    };
    CallError {
        code: error.code().and_then(|code| clean(code, 64)),
        status: error.raw_response().map(|response| response.status().as_u16()),
        request_id: error.request_id().and_then(|id| clean(id, 64)),
        ..described
    }
}

pub(crate) const UNBUILT: &str = "the request could not be built";

fn dispatch(failure: &DispatchFailure) -> Failure {
    if failure.is_timeout() {
        Failure::TimedOut
    } else if failure.is_user() {
        Failure::NotBuilt(UNBUILT.into())
    } else {
        Failure::Disconnected
    }
}

/// The failures of a request that have a specific cause.
fn known(error: &(dyn error::Error + 'static)) -> Option<Failure> {
    if let Some(refusal) = refusal(error) {
        return Some(Failure::NotBuilt(refusal.into()));
    }
    if let Some(error) = find::<CredentialsError>(error) {
        return Some(Failure::NoCredentials(why(error)));
    }
    if find::<InterimFlood>(error).is_some() {
        return Some(Failure::Unreadable);
    }
    find::<Panicked>(error).map(|panicked| Failure::Panicked(panicked.step()))
}

/// The errors from this one to its root cause.
pub(crate) fn chain<'a>(
    error: &'a (dyn error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn error::Error + 'static)> {
    // The source of an I/O error is the source of the error it wraps, which would itself be skipped.
    std::iter::successors(Some(error), |error| {
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn error::Error + 'static)),
            None => error.source(),
        }
    })
}

pub(crate) fn find<'a, E: error::Error + 'static>(error: &'a (dyn error::Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// The message for a setting or request that our own rules reject.
fn refusal(error: &(dyn error::Error + 'static)) -> Option<String> {
    let invalid = find::<InvalidSetting>(error).filter(|invalid| invalid.is_input());
    invalid.map(ToString::to_string).or_else(|| find::<Unbuilt>(error).map(ToString::to_string))
}

/// The error for credentials that could not be obtained because of an invalid setting.
pub(crate) fn invalid_setting(error: &CredentialsError) -> Option<Error> {
    match find::<InvalidSetting>(error).filter(|invalid| invalid.is_input()) {
        Some(invalid) => Some(invalid.clone().into()),
        None => refusal(error).map(|refusal| Error::not_applied(ErrorKind::InvalidArgument, refusal)),
    }
}

/// Describes the failure in our own words: sources can quote a credentials service's reply.
pub(crate) fn why(error: &CredentialsError) -> Cow<'static, str> {
    if let Some(invalid) = find::<InvalidSetting>(error) {
        return invalid.to_string().into();
    }
    if let Some(failed) = find::<SourceFailed>(error) {
        return failed.to_string().into();
    }
    if let Some(panicked) = find::<Panicked>(error) {
        return panicked.to_string().into();
    }
    if find::<ReplyTooLong>(error).is_some() || find::<InterimFlood>(error).is_some() {
        return "the reply of their source is too long".into();
    }
    match error {
        CredentialsError::CredentialsNotLoaded(_) => "no credentials were found",
        CredentialsError::ProviderTimedOut(_) => "no credentials were obtained in time",
        CredentialsError::InvalidConfiguration(_) => "the configuration of the credentials is not valid",
        _ => {
            let words = Cause::Failed.words();
            return match Cause::of_connection(error) {
                Some(cause) => format!("{words}: {}", cause.words()).into(),
                None => words.into(),
            };
        }
    }
    .into()
}

/// A code or ID if it is a single word: both come from the reply.
fn clean(text: &str, longest: usize) -> Option<String> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    ((1..=longest).contains(&text.len()) && text.bytes().all(word)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use aws_sdk_secretsmanager::{
        config::{BehaviorVersion, Credentials, Region},
        operation::get_secret_value::GetSecretValueError,
    };
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_types::body::SdkBody;

    use super::*;

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

    #[test]
    fn a_code_is_a_word() {
        assert_eq!(clean("AccessDeniedException", 64).as_deref(), Some("AccessDeniedException"));
        assert_eq!(clean("{\"privateKey\":\"x\"}", 64), None);
        assert_eq!(clean("", 64), None);
        assert_eq!(clean("a-b_c.1", 7).as_deref(), Some("a-b_c.1"));
        assert_eq!(clean(&"a".repeat(65), 64), None);
    }

    #[test]
    fn call_results_have_kinds() {
        type Failed = SdkError<GetSecretValueError, HttpResponse>;
        let reply = HttpResponse::new(502.try_into().unwrap(), SdkBody::empty());
        let refused = CredentialsError::not_loaded_no_source();
        for (error, failure) in [
            (Failed::timeout_error("late"), Failure::TimedOut),
            (Failed::dispatch_failure(ConnectorError::timeout("late".into())), Failure::TimedOut),
            (Failed::dispatch_failure(ConnectorError::io("gone".into())), Failure::Disconnected),
            (Failed::response_error("s3cret", reply), Failure::Unreadable),
            (Failed::construction_failure("s3cret"), Failure::NotBuilt(UNBUILT.into())),
            (
                Failed::dispatch_failure(ConnectorError::user("s3cret".into())),
                Failure::NotBuilt(UNBUILT.into()),
            ),
            (Failed::construction_failure(Unbuilt("no TLS")), Failure::NotBuilt("no TLS".into())),
            (
                Failed::construction_failure(refused),
                Failure::NoCredentials("no credentials were found".into()),
            ),
        ] {
            let found = describe(&error, &Trace::default());
            assert_eq!(found.status, (failure == Failure::Unreadable).then_some(502));
            assert_eq!(found.failure, failure);
        }
    }

    #[test]
    fn credential_errors_use_own_words() {
        for (error, words) in [
            (CredentialsError::not_loaded("s3cret"), "were found"),
            (CredentialsError::provider_timed_out(std::time::Duration::ZERO), "in time"),
            (CredentialsError::invalid_configuration("s3cret"), "not valid"),
            (CredentialsError::unhandled("s3cret"), "failed"),
        ] {
            assert!(why(&error).ends_with(words), "{}", why(&error));
        }
    }
}
