//! Pauses of throttled calls.
//!
//! Thousands of programs may start at once and share one quota, so the first pause is long and uniformly distributed:
//! an early retry only takes the place of another program's. The numbers come from the simulation in `docs/fleet.md`.

use std::time::Duration;

use ksm_storage_core::{Clock, ErrorKind, Location, Outcome};

use crate::{client::CallError, error::classify, events::Event};

/// The maximum first pause, which doubles with each attempt.
pub(crate) const FIRST: Duration = Duration::from_secs(4);
pub(crate) const LONGEST: Duration = Duration::from_secs(8);
/// A call with less time left is not retried: if many clients retried within a short time, few would succeed.
pub(crate) const SHORTEST: Duration = Duration::from_secs(2);

/// The pauses of one call.
pub(crate) struct Throttle<'a> {
    clock: &'a dyn Clock,
    location: &'a Location,
    /// The latest end of a pause.
    end: Duration,
    attempt: u32,
}

impl<'a> Throttle<'a> {
    pub(crate) fn new(clock: &'a dyn Clock, location: &'a Location, patience: Duration) -> Self {
        Self { clock, location, end: clock.now().saturating_add(patience), attempt: 0 }
    }

    /// Pauses if the call was throttled and there is time left. Returns true if the call should be repeated.
    pub(crate) async fn pause(&mut self, error: &CallError) -> bool {
        // A call that may have been carried out must not simply be repeated.
        if classify(error) != (ErrorKind::Throttled, Outcome::NotApplied) {
            return false;
        }
        let left = self.end.saturating_sub(self.clock.now());
        if left < SHORTEST {
            return false;
        }
        let longest = FIRST.saturating_mul(2_u32.saturating_pow(self.attempt)).min(LONGEST).min(left);
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX).max(1);
        let wait = Duration::from_nanos(self.clock.random() % nanos);
        self.attempt += 1;
        Event::Throttled { location: self.location, attempt: self.attempt, wait }.log();
        #[cfg(feature = "metrics")]
        metrics::counter!("ksm_storage_throttled_total", "location" => self.location.to_string())
            .increment(1);
        self.clock.sleep(wait).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use ksm_storage_core::SystemClock;
    use tokio::time::Instant;

    use super::*;
    use crate::client::Failure;

    #[tokio::test(start_paused = true)]
    async fn pauses_end_in_time() {
        let (clock, location) = (SystemClock::new(), Location::new("aws-sm", "x"));
        let throttled = CallError::answered(400, "ThrottlingException");
        for _ in 0..100 {
            let start = Instant::now();
            let mut throttle = Throttle::new(&clock, &location, Duration::from_secs(12));
            while throttle.pause(&throttled).await {}
            let elapsed = start.elapsed();
            assert!(elapsed > Duration::from_secs(10) && elapsed <= Duration::from_secs(13), "{elapsed:?}");
            assert!(throttle.attempt >= 2, "{}", throttle.attempt);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn other_failures_are_not_repeated() {
        let (clock, location) = (SystemClock::new(), Location::new("aws-sm", "x"));
        let mut throttle = Throttle::new(&clock, &location, Duration::from_secs(12));
        let throttled = CallError::answered(400, "ThrottlingException");
        for error in [
            CallError::answered(400, "AccessDeniedException"),
            CallError::answered(400, "LimitExceededException"),
            CallError::answered(503, "ServiceUnavailable"),
            CallError::new(Failure::TimedOut),
            CallError { unanswered: true, ..throttled },
        ] {
            assert!(!throttle.pause(&error).await, "{error}");
        }
    }
}
