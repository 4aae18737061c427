use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The clock of an emulator, as time since the Unix epoch.
pub(crate) struct Clock {
    base: Duration,
    /// The system's time at the start, or `None` once the clock was set and thus stopped.
    running: Option<Instant>,
}

impl Clock {
    /// Starts at the system time, and never goes back.
    pub(crate) fn system() -> Self {
        Self { base: since_epoch(SystemTime::now()), running: Some(Instant::now()) }
    }

    pub(crate) fn now(&self) -> Duration {
        self.base.saturating_add(self.running.map_or(Duration::ZERO, |start| start.elapsed()))
    }

    pub(crate) fn advance(&mut self, time: Duration) {
        self.base = self.base.saturating_add(time);
    }

    pub(crate) fn set(&mut self, time: SystemTime) {
        *self = Self { base: since_epoch(time), running: None };
    }
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}
