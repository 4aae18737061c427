use std::{borrow::Cow, time::Duration};

/// A deviation of one call from its normal course.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Rejects the call with this error code and status 400, without carrying it out.
    Refuse(Cow<'static, str>),
    /// Damages the response, without carrying out the call.
    Before(ResponseFault),
    /// Carries out the call and damages the response: the reply is lost.
    After(ResponseFault),
    /// Carries out the call this much later.
    Delay(Duration),
}

impl Fault {
    /// Rejects the call with this error code, such as `ThrottlingException`.
    pub fn refuse(code: impl Into<Cow<'static, str>>) -> Self {
        Self::Refuse(code.into())
    }
}

/// A damaged response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseFault {
    /// The connection is reset.
    Reset,
    /// No response ever comes.
    Hang,
    /// A response with this status and an error of the service.
    Status(u16),
    /// The body ends in the middle.
    Truncated,
    /// The body begins like the true one, but cannot be parsed.
    Malformed,
    /// The body comes one byte at a time, and never ends.
    Slow,
}

impl ResponseFault {
    /// All variants, with one status.
    pub const ALL: [Self; 6] =
        [Self::Reset, Self::Hang, Self::Status(503), Self::Truncated, Self::Malformed, Self::Slow];
}

/// An error response of an AWS service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The error code, as the API reference spells it.
    pub code: Cow<'static, str>,
    /// The message, as far as it is known from the service.
    pub message: String,
}

impl ApiError {
    pub(crate) fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}
