//! Catches panics in calls of other people's code.

use std::{
    error, fmt,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
};

use crate::{Error, ErrorKind};

/// Runs a dependency's future, and turns a panic in it into a [`Panicked`] that names the step.
///
/// Values that the future borrowed may be left half changed. Drop them after a panic, unless they check their own
/// state.
///
/// ```
/// use ksm_storage_core::{Error, ErrorKind, catch_panic};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let caught = catch_panic("a call", async { panic!("s3cret") }).await;
/// let error = Error::from(caught.unwrap_err());
/// assert_eq!(error.kind(), ErrorKind::Unexpected);
/// assert!(!error.to_string().contains("s3cret"));
/// # }
/// ```
///
/// # Errors
/// [`Panicked`] if the future panics. The panic's message is omitted, because it may quote a secret.
pub async fn catch_panic<F: Future>(step: &'static str, future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    poll_fn(|context| {
        catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)))
            .map_or(Poll::Ready(Err(Panicked { step })), |poll| poll.map(Ok))
    })
    .await
}

/// A panic in a dependency, caught by [`catch_panic`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked {
    step: &'static str,
}

impl Panicked {
    /// The step that panicked.
    pub fn step(self) -> &'static str {
        self.step
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a dependency panicked during {}", self.step)
    }
}

impl error::Error for Panicked {}

/// The outcome is [`Unknown`](crate::Outcome::Unknown): a write may have been sent before the panic.
impl From<Panicked> for Error {
    fn from(panicked: Panicked) -> Self {
        Self::new(ErrorKind::Unexpected, panicked.to_string())
            .with_hint("report it, with the panic message from the program's standard error")
            .with_source(panicked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;

    #[tokio::test]
    async fn panics_become_errors() {
        let late = async {
            tokio::task::yield_now().await;
            panic!("s3cret")
        };
        let caught: Result<(), _> = catch_panic("a call", late).await;
        let error = Error::from(caught.unwrap_err());
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unexpected, Outcome::Unknown));
        assert!(error.to_string().contains("during a call") && !error.is_retryable(), "{error}");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        assert_eq!(catch_panic("a call", async { 7 }).await, Ok(7));
    }
}
