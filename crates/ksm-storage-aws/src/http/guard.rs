//! The single point that every request and reply passes.

use std::{
    error, fmt,
    ops::Range,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Waker},
};

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        connector_metadata::ConnectorMetadata,
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
            SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::{RuntimeComponents, RuntimeComponentsBuilder},
    },
    http::HttpError,
};
use aws_smithy_types::{DateTime, body::SdkBody, config_bag::ConfigBag, date_time::Format};
use futures_util::future::{Either, select};
use http_body_util::{LengthLimitError, Limited};
use hyper_util::client::legacy::Error as ClientError;
use ksm_storage_core::catch_panic;
use tokio::{sync::Notify, task::coop::consume_budget};

use crate::{cause::chain, endpoint::Purpose, interceptors::Unbuilt, trace::Trace};

/// The longest reply that is read, in bytes. A value of 64 KiB takes 88 KiB in base64; no other reply is longer.
pub(crate) const MAX_REPLY: usize = 1 << 20;

/// Maximum number of interim replies, such as `103 Early Hints`, to one request. AWS sends none.
pub(crate) const MAX_INTERIM: usize = 100;

/// The times of a server that are believed, in seconds since 1970: until the year 6325.
const DATES: Range<i64> = 0..1 << 37;

/// The header with the lifetime of a token of the instance metadata service, in seconds.
const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
/// The longest lifetime that the service grants.
const LONGEST_TTL: u64 = 6 * 60 * 60;

/// A client that sends no secrets over plain HTTP, limits the length of replies, and does not panic.
pub(crate) fn guarded(
    inner: SharedHttpClient,
    purpose: Purpose,
    trace: impl Into<Trace>,
) -> SharedHttpClient {
    SharedHttpClient::new(Guard { inner, rule: Rule { purpose, trace: trace.into() } })
}

struct Guard {
    inner: SharedHttpClient,
    rule: Rule,
}

#[derive(Clone)]
struct Rule {
    purpose: Purpose,
    trace: Trace,
}

impl Rule {
    fn check(&self, uri: &str) -> Result<(), BoxError> {
        if self.purpose.permits(uri) {
            return Ok(());
        }
        Err(match self.trace.endpoint(uri) {
            Some(endpoint) => endpoint.plain_http().into(),
            None => {
                Unbuilt("the endpoint is plain http and not on loopback, so requests could be intercepted")
                    .into()
            }
        })
    }
}

impl HttpClient for Guard {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(GuardedConnector {
            inner: self.inner.http_connector(settings, components),
            rule: self.rule.clone(),
        })
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.inner.validate_base_client_config(components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.inner.connector_metadata()
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

struct GuardedConnector {
    inner: SharedHttpConnector,
    rule: Rule,
}

impl HttpConnector for GuardedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if let Err(refusal) = self.rule.check(request.uri()) {
            return HttpConnectorFuture::ready(Err(ConnectorError::user(refusal)));
        }
        self.rule.trace.note(request.uri());
        let (inner, trace) = (self.inner.clone(), self.rule.trace.clone());
        HttpConnectorFuture::new(async move {
            let (request, flood) = watch(request)?;
            // The call itself may panic too.
            let call = catch_panic("an HTTP request", async { inner.call(request).await });
            match select(pin!(call), pin!(flood.notified())).await {
                Either::Left((Ok(Ok(response)), _)) => {
                    trace.replied(response.status().as_u16());
                    Ok(bounded(response))
                }
                Either::Left((Ok(Err(error)), _)) => Err(marked(error)),
                Either::Left((Err(panicked), _)) => Err(ConnectorError::other(panicked.into(), None)),
                Either::Right(_) => Err(ConnectorError::other(InterimFlood.into(), None)),
            }
        })
    }
}

impl fmt::Debug for GuardedConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedConnector").finish_non_exhaustive()
    }
}

/// Notifies when a request has received more than [`MAX_INTERIM`] interim replies.
///
/// hyper skips these in a loop that yields only when a socket read does. Each is charged to the task's budget like a
/// read; otherwise a flood would keep timers from running.
fn watch(request: HttpRequest) -> Result<(HttpRequest, Arc<Notify>), ConnectorError> {
    let user = |error: HttpError| ConnectorError::user(error.into());
    let mut request = request.try_into_http1x().map_err(user)?;
    let flood = Arc::new(Notify::new());
    let (notify, count) = (Arc::clone(&flood), AtomicUsize::new(0));
    hyper::ext::on_informational(&mut request, move |_| {
        let charge = pin!(consume_budget());
        let _ = charge.poll(&mut Context::from_waker(Waker::noop()));
        if count.fetch_add(1, Ordering::Relaxed) >= MAX_INTERIM {
            notify.notify_one();
        }
    });
    Ok((HttpRequest::try_from(request).map_err(user)?, flood))
}

fn bounded(mut response: HttpResponse) -> HttpResponse {
    let body = response.take_body();
    *response.body_mut() = SdkBody::from_body_1_x(Limited::new(body, MAX_REPLY));
    // The SDK adds both of these to the time, and panics if the sum is out of range.
    let headers = response.headers_mut();
    let is_usable =
        |date| DateTime::from_str(date, Format::HttpDate).is_ok_and(|date| DATES.contains(&date.secs()));
    if headers.get("date").is_some_and(|date| !is_usable(date)) {
        headers.remove("date");
    }
    if headers.get(TTL).and_then(|ttl| ttl.parse().ok()) > Some(LONGEST_TTL) {
        headers.insert(TTL, LONGEST_TTL.to_string());
    }
    response
}

/// Marks a failure that occurred before there was a connection.
fn marked(error: ConnectorError) -> ConnectorError {
    let unconnected =
        chain(&error).any(|error| error.downcast_ref::<ClientError>().is_some_and(ClientError::is_connect));
    if !unconnected {
        return error;
    }
    let marked = if error.is_timeout() { ConnectorError::timeout } else { ConnectorError::io };
    marked(NeverSent(error.into_source()).into())
}

/// The failure of a request that was never sent, because there was no connection.
#[derive(Debug)]
pub(crate) struct NeverSent(BoxError);

impl fmt::Display for NeverSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no connection could be made")
    }
}

impl error::Error for NeverSent {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&*self.0)
    }
}

/// A reply preceded by more than [`MAX_INTERIM`] interim replies.
#[derive(Debug)]
pub(crate) struct InterimFlood;

impl fmt::Display for InterimFlood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {MAX_INTERIM} interim replies")
    }
}

impl error::Error for InterimFlood {}

/// A reply longer than [`MAX_REPLY`] bytes.
pub(crate) type ReplyTooLong = LengthLimitError;

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
