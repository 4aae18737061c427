use std::{fmt, future::poll_fn, pin::pin, task::Poll, time::Duration};

use async_trait::async_trait;
use tokio::time::Instant;

/// A source of time and randomness for a storage. Tests substitute their own, so that they never wait.
///
/// ```
/// use ksm_storage_core::{Clock, SystemClock};
///
/// let clock = SystemClock::new();
/// assert!(clock.now() <= clock.now());
/// ```
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Time since an origin of the clock's choice. Never decreases.
    fn now(&self) -> Duration;

    /// Waits for `duration`, as a pause before another attempt.
    async fn sleep(&self, duration: Duration);

    /// Waits until [`now`](Self::now) is `instant` or later. Used for deadlines, and usually dropped before it
    /// completes.
    async fn alarm(&self, instant: Duration);

    /// A number uniformly distributed over `u64`, for jitter. It may be predictable.
    fn random(&self) -> u64;
}

/// The time of the Tokio runtime, and a fast random number generator.
///
/// [`sleep`](Clock::sleep) and [`alarm`](Clock::alarm) need a runtime with its timer enabled.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock that starts at zero.
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    async fn alarm(&self, instant: Duration) {
        match self.origin.checked_add(instant) {
            Some(instant) => tokio::time::sleep_until(instant).await,
            None => std::future::pending().await,
        }
    }

    fn random(&self) -> u64 {
        fastrand::u64(..)
    }
}

/// The future's output, or `None` if `deadline` passes first.
pub(crate) async fn within<F: Future>(clock: &dyn Clock, deadline: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut alarm = clock.alarm(deadline);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => alarm.as_mut().poll(context).map(|()| None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn system_clock_follows_runtime_time() {
        let clock = SystemClock::new();
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(clock.now(), Duration::from_secs(3));
        clock.sleep(Duration::from_secs(2)).await;
        assert!(clock.now() >= Duration::from_secs(5));
        clock.alarm(Duration::from_secs(9)).await;
        assert!(clock.now() >= Duration::from_secs(9));
        clock.alarm(Duration::from_secs(1)).await;
        assert!(clock.now() < Duration::from_secs(10), "an alarm in the past is at once");
    }

    #[test]
    fn random_numbers_differ() {
        let clock = SystemClock::new();
        assert!((0..8).any(|_| clock.random() != clock.random()));
    }
}
