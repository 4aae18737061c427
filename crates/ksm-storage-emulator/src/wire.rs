//! Responses on the wire, including damaged ones.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::{
    Response, StatusCode,
    body::{Body, Bytes, Frame},
};
use tokio::time::{Sleep, sleep};

use crate::ResponseFault;

/// The interval between the bytes of a slow body.
const TRICKLE: Duration = Duration::from_millis(100);

/// A body with a regular or damaged end.
pub(crate) struct Wire {
    rest: Bytes,
    end: End,
}

enum End {
    Whole,
    Broken,
    Slow(Pin<Box<Sleep>>),
}

impl Body for Wire {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        match &mut this.end {
            End::Slow(pause) => {
                ready!(pause.as_mut().poll(context));
                *pause = Box::pin(sleep(TRICKLE));
                // The last byte is never sent.
                if this.rest.len() <= 1 {
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(Frame::data(this.rest.split_to(1)))))
            }
            _ if !this.rest.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(this.rest.split_to(this.rest.len())))))
            }
            End::Broken => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
            End::Whole => Poll::Ready(None),
        }
    }
}

/// A response with this body.
pub(crate) fn answer(status: u16, kind: &str, body: impl Into<Bytes>) -> Response<Wire> {
    let rest = body.into();
    let mut response = Response::new(Wire { rest, end: End::Whole });
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let len = response.body().rest.len();
    let headers = response.headers_mut();
    if let Ok(kind) = kind.parse() {
        headers.insert(hyper::header::CONTENT_TYPE, kind);
    }
    headers.insert(hyper::header::CONTENT_LENGTH, len.into());
    response
}

/// Damages the response. `None` if none is sent at all.
pub(crate) async fn damage(mut response: Response<Wire>, fault: ResponseFault) -> Option<Response<Wire>> {
    match fault {
        ResponseFault::Reset => None,
        ResponseFault::Hang => never().await,
        ResponseFault::Status(status) => {
            Some(answer(status, "application/x-amz-json-1.1", r#"{"__type":"InternalServiceError"}"#))
        }
        ResponseFault::Truncated => {
            let body = response.body_mut();
            body.rest = body.rest.slice(..body.rest.len() / 2);
            body.end = End::Broken;
            Some(response)
        }
        ResponseFault::Malformed => {
            let body = response.body_mut();
            let mut bytes = body.rest.to_vec();
            // The last byte of every response closes the JSON or XML.
            if let Some(last) = bytes.last_mut() {
                *last = b'!';
            }
            body.rest = bytes.into();
            Some(response)
        }
        ResponseFault::Slow => {
            response.body_mut().end = End::Slow(Box::pin(sleep(TRICKLE)));
            Some(response)
        }
    }
}

async fn never<T>() -> Option<T> {
    let never: Infallible = std::future::pending().await;
    match never {}
}
