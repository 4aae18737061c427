//! Additions to the SDK's calls.

use std::{
    error, fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use aws_sdk_secretsmanager::operation::put_secret_value::PutSecretValueError;
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{
            Intercept,
            context::{
                BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
                InterceptorContext,
            },
            dyn_dispatch_hint,
        },
        retries::classifiers::{ClassifyRetry, RetryAction},
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::ConfigBag;

use crate::client::CallError;

/// The requests of one call that were sent and not refused: the SDK repeats those that fail, and tells of the last alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests(Arc<AtomicUsize>);

impl Requests {
    pub(crate) fn tell(&self, error: CallError) -> CallError {
        CallError { unanswered: self.0.load(Ordering::Relaxed) > 0, ..error }
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
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if (400..500).contains(&context.response().status().as_u16()) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// `LimitExceededException` is on the SDK's list of throttling errors; here it means a quota that lasts a day.
#[derive(Debug)]
pub(crate) struct NoRetryOfQuota;

impl ClassifyRetry for NoRetryOfQuota {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error = context.output_or_error().and_then(Result::err);
        let quota = error
            .and_then(|error| error.as_operation_error())
            .and_then(|error| error.downcast_ref::<PutSecretValueError>())
            .is_some_and(PutSecretValueError::is_limit_exceeded_exception);
        if quota { RetryAction::RetryForbidden } else { RetryAction::NoActionIndicated }
    }

    fn name(&self) -> &'static str {
        "version quota"
    }
}

/// A request that is not sent, and why.
#[derive(Debug)]
pub(crate) struct Unbuilt(pub(crate) &'static str);

impl fmt::Display for Unbuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl error::Error for Unbuilt {}

#[derive(Debug)]
pub(crate) struct PlainHttpOnLoopback;

#[dyn_dispatch_hint]
impl Intercept for PlainHttpOnLoopback {
    fn name(&self) -> &'static str {
        "plain http on loopback only"
    }

    fn read_before_signing(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if is_plain_http_elsewhere(context.request().uri()) {
            let why = "the endpoint is plain http and not on loopback, so that anybody could read along";
            return Err(Unbuilt(why).into());
        }
        Ok(())
    }
}

fn is_plain_http_elsewhere(uri: &str) -> bool {
    let Some((_, rest)) = uri.split_once("://").filter(|(scheme, _)| scheme.eq_ignore_ascii_case("http"))
    else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // What is before the last `@` names a user, and may look like a host.
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => authority.split(':').next().unwrap_or_default(),
    };
    host != "localhost" && !host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback() {
        for uri in [
            "http://127.0.0.1:4566/",
            "http://localhost/",
            "http://[::1]:1/x",
            "http://user:password@localhost:1/",
            "http://localhost/@example.com",
            "https://example.com/",
        ] {
            assert!(!is_plain_http_elsewhere(uri), "{uri}");
        }
        for uri in [
            "http://example.com/",
            "http://127.0.0.1.example.com/",
            "http://localhost@example.com/",
            "http://localhost:x@example.com:1/",
            "http://[::1]@example.com/",
            "http://a@localhost:x@example.com/",
            "HTTP://example.com/",
            "http://",
        ] {
            assert!(is_plain_http_elsewhere(uri), "{uri}");
        }
    }
}
