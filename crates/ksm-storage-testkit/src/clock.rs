use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use ksm_storage_core::Clock;
use tokio::sync::watch;

/// Virtual time. A pause completes at once, and a deadline passes when pauses or [`advance`](Self::advance) add up to
/// it. Clones are the same clock. Its random numbers are the same in every run.
///
/// ```
/// use std::time::Duration;
///
/// use ksm_storage_core::Clock;
/// use ksm_storage_testkit::TestClock;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let clock = TestClock::new();
/// clock.sleep(Duration::from_hours(1)).await;
/// assert_eq!(clock.now(), Duration::from_hours(1));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TestClock {
    now: Arc<watch::Sender<Duration>>,
    random: Arc<AtomicU64>,
}

impl TestClock {
    /// A clock at zero.
    pub fn new() -> Self {
        Self { now: Arc::new(watch::Sender::new(Duration::ZERO)), random: Arc::new(AtomicU64::new(1)) }
    }

    /// Lets `duration` pass.
    pub fn advance(&self, duration: Duration) {
        self.now.send_modify(|now| *now += duration);
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Duration {
        *self.now.borrow()
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
        tokio::task::yield_now().await;
    }

    async fn alarm(&self, instant: Duration) {
        // Fails only if the sender is gone, and `self` holds it.
        let _ = self.now.subscribe().wait_for(|now| *now >= instant).await;
    }

    fn random(&self) -> u64 {
        // A Weyl sequence with a multiplicative mixer: uniform, with a counter as its only state.
        let step = self.random.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        (step ^ (step >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }
}
