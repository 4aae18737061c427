//! Pauses and deadlines.

use std::time::Duration;

use crate::{Clock, clock::within};

pub(crate) const FIRST: Duration = Duration::from_millis(20);
pub(crate) const LONGEST: Duration = Duration::from_secs(1);

/// The delay after the failed `attempt` (from 1): exponential, capped, with jitter over its upper half.
pub(super) fn pause(clock: &dyn Clock, attempt: u32) -> Duration {
    let ceiling = FIRST.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1))).min(LONGEST);
    let half = ceiling / 2;
    let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).max(1);
    half + Duration::from_nanos(clock.random() % nanos)
}

/// The future's output, or `None` if `deadline` has passed or passes first.
pub(super) async fn within_deadline<F: Future>(
    clock: &dyn Clock,
    deadline: Duration,
    future: F,
) -> Option<F::Output> {
    if clock.now() >= deadline { None } else { within(clock, deadline, future).await }
}

#[cfg(test)]
pub(super) mod tests {
    use async_trait::async_trait;

    use super::*;

    /// A clock that stands still and always returns this random number.
    #[derive(Debug)]
    pub(in super::super) struct Random(pub(in super::super) u64);

    #[async_trait]
    impl Clock for Random {
        fn now(&self) -> Duration {
            Duration::ZERO
        }

        async fn sleep(&self, duration: Duration) {
            unreachable!("there is nothing to wait {duration:?} for");
        }

        async fn alarm(&self, _: Duration) {
            std::future::pending::<()>().await;
        }

        fn random(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn pauses_double_up_to_one_second() {
        for (attempt, longest) in [(1, 20), (2, 40), (3, 80), (6, 640), (7, 1000), (40, 1000)] {
            let longest = Duration::from_millis(longest);
            let half = longest / 2;
            let nanos = u64::try_from(half.as_nanos()).unwrap();
            assert_eq!(pause(&Random(0), attempt), half);
            assert_eq!(pause(&Random(nanos - 1), attempt) + Duration::from_nanos(1), longest);
            assert_eq!(pause(&Random(nanos + 5), attempt), half + Duration::from_nanos(5));
        }
    }

    #[tokio::test]
    async fn nothing_is_begun_at_the_deadline() {
        let clock = Random(0);
        assert_eq!(within_deadline(&clock, Duration::ZERO, async { 1 }).await, None);
        assert_eq!(within_deadline(&clock, Duration::from_nanos(1), async { 1 }).await, Some(1));
    }
}
