//! Pauses of throttled calls.
//!
//! Thousands of programs may start at once and share one quota, so the first pause is long and evenly spread: whoever asks
//! again soon takes the place of another. `docs/fleet.md` has the simulation that these numbers come from.

use std::time::Duration;

use ksm_storage_core::{Clock, ErrorKind, Location, Outcome};
use tracing::debug;

use crate::{client::CallError, error::classify};

/// The longest first pause; doubled each time.
const FIRST: Duration = Duration::from_secs(4);
const LONGEST: Duration = Duration::from_secs(8);

/// The pauses of one call.
pub(crate) struct Throttle<'a> {
    clock: &'a dyn Clock,
    location: &'a Location,
    /// No pause ends later.
    end: Duration,
    attempt: u32,
}

impl<'a> Throttle<'a> {
    pub(crate) fn new(clock: &'a dyn Clock, location: &'a Location, patience: Duration) -> Self {
        Self { clock, location, end: clock.now().saturating_add(patience), attempt: 0 }
    }

    /// Waits, if the call was throttled and there is time left. Returns true if it is to be made again.
    pub(crate) async fn pause(&mut self, error: &CallError) -> bool {
        // A call that may have been carried out is not merely repeated.
        if classify(error) != (ErrorKind::Throttled, Outcome::NotApplied) {
            return false;
        }
        let longest = FIRST.saturating_mul(2_u32.saturating_pow(self.attempt)).min(LONGEST);
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX).max(1);
        let wait = Duration::from_nanos(self.clock.random() % nanos);
        if self.clock.now().saturating_add(wait) > self.end {
            return false;
        }
        self.attempt += 1;
        debug!(location = %self.location, attempt = self.attempt, ?wait, "throttled");
        self.clock.sleep(wait).await;
        true
    }
}
