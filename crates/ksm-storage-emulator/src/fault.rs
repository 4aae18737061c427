use std::{borrow::Cow, time::Duration};

/// A deviation of one call from its normal course.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Rejects the call with this error code and status 400, without carrying it out.
    Refuse(Cow<'static, str>),
    /// Damages the response, without carrying out the call.
    Before(ResponseFault),
    /// Carries out the call, then damages the response: the reply is lost.
    After(ResponseFault),
    /// Carries out the call after this delay.
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
    /// No response is ever sent.
    Hang,
    /// A response with this status and an error of the service.
    Status(u16),
    /// The body is cut off in the middle.
    Truncated,
    /// The body begins like the correct one, but cannot be parsed.
    Malformed,
    /// The body arrives one byte at a time, and never ends.
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
    /// The error code, spelled as in the API reference.
    pub code: Cow<'static, str>,
    /// The message, in the service's wording where that is known.
    pub message: String,
}

impl ApiError {
    pub(crate) fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}
