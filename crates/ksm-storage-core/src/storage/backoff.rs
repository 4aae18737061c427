//! Pauses and deadlines.

use std::time::Duration;

use crate::{Clock, clock::within};

const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);

/// How long to wait after the failed `attempt` (from 1): exponential, capped, evenly spread over its upper half.
pub(super) fn pause(clock: &dyn Clock, attempt: u32) -> Duration {
    let ceiling = FIRST.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1))).min(LONGEST);
    let half = ceiling / 2;
    let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).max(1);
    half + Duration::from_nanos(clock.random() % nanos)
}

/// The future's output, or `None` if `deadline` has passed before or passes meanwhile.
pub(super) async fn within_deadline<F: Future>(
    clock: &dyn Clock,
    deadline: Duration,
    future: F,
) -> Option<F::Output> {
    if clock.now() >= deadline { None } else { within(clock, deadline, future).await }
}
