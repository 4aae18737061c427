//! Extensions of the SDK's calls.

use std::{
    error, fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use aws_sdk_secretsmanager::{
    error::ProvideErrorMetadata,
    operation::{get_secret_value::GetSecretValueError, put_secret_value::PutSecretValueError},
};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{
            Intercept,
            context::{
                BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
                FinalizerInterceptorContextRef, InterceptorContext,
            },
            dyn_dispatch_hint,
        },
        orchestrator::OrchestratorError,
        retries::classifiers::{ClassifyRetry, RetryAction},
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::ConfigBag;

use crate::{
    cause::{Cause, chain},
    client::{CallError, Failure},
    describe::UNBUILT,
    error::is_throttling,
    http::NeverSent,
};

/// Counts the requests of one call that were sent and not rejected: the SDK retries failures, and reports only the last
/// one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Requests that the SDK handed over.
    built: AtomicUsize,
    sent: AtomicUsize,
    rejected: AtomicUsize,
}

impl Requests {
    /// Records in the error if a request was sent, and if any request was sent and not rejected.
    pub(crate) fn tell(&self, error: CallError) -> CallError {
        let (sent, rejected) = (self.0.sent.load(Ordering::Relaxed), self.0.rejected.load(Ordering::Relaxed));
        // The SDK reports a request that it cannot build as a broken connection.
        let is_broken = error.failure == Failure::Disconnected
            && error.message.as_deref().is_none_or(|message| message == Cause::Broken.words());
        let error = if is_broken && self.0.built.load(Ordering::Relaxed) == 0 {
            CallError::new(Failure::NotBuilt(UNBUILT.into()))
        } else {
            error
        };
        CallError { sent: sent > 0, unanswered: sent > rejected, ..error }
    }
}

#[dyn_dispatch_hint]
impl Intercept for Requests {
    fn name(&self) -> &'static str {
        "requests without an answer"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.built.fetch_add(1, Ordering::Relaxed);
        self.0.sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if (400..500).contains(&context.response().status().as_u16()) {
            self.0.rejected.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// A request that was handed over but found no connection was not sent.
    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let error =
            context.output_or_error().and_then(Result::err).and_then(OrchestratorError::as_connector_error);
        if error.is_some_and(|error| error.is_user() || chain(error).any(<dyn error::Error>::is::<NeverSent>))
        {
            self.0.sent.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Forbids the SDK's quick retries for two errors that it counts as throttling: `LimitExceededException`, which here
/// means a quota that lasts a day, and throttling of a read or put, which the backend retries with longer pauses.
#[derive(Debug)]
pub(crate) struct NoQuickRetry;

impl ClassifyRetry for NoQuickRetry {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error =
            context.output_or_error().and_then(Result::err).and_then(OrchestratorError::as_operation_error);
        let put = error.and_then(|error| error.downcast_ref::<PutSecretValueError>());
        let get = error.and_then(|error| error.downcast_ref::<GetSecretValueError>());
        let code =
            put.and_then(ProvideErrorMetadata::code).or_else(|| get.and_then(ProvideErrorMetadata::code));
        let quota = put.is_some_and(PutSecretValueError::is_limit_exceeded_exception);
        if quota || code.is_some_and(is_throttling) {
            RetryAction::RetryForbidden
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "no quick retry"
    }
}

/// A request that is not sent, with the reason.
#[derive(Debug)]
pub(crate) struct Unbuilt(pub(crate) &'static str);

impl fmt::Display for Unbuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl error::Error for Unbuilt {}
