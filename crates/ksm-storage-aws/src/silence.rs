//! Events of the AWS SDK, withheld.

use std::sync::OnceLock;

use tracing::{
    Dispatch,
    instrument::{WithDispatch, WithSubscriber},
    subscriber::NoSubscriber,
};

/// Withholds the SDK's own events from the subscriber: they show the whole of a malformed reply.
pub(crate) fn without_tracing<F: Future>(call: F) -> WithDispatch<F> {
    call.with_subscriber(silent())
}

/// One for the whole process: a new one takes a lock of `tracing` and visits every event of the program, and a child that is
/// forked meanwhile waits for that lock forever. [`Dispatch::none`] would switch off the SDK's events for the rest of the program.
fn silent() -> Dispatch {
    static SILENT: OnceLock<Dispatch> = OnceLock::new();
    SILENT.get().cloned().unwrap_or_else(|| {
        // Outside the cell, so that a fork can hardly find it locked.
        let silent = Dispatch::new(NoSubscriber::default());
        // Another thread may have been faster.
        let _ = SILENT.set(silent.clone());
        silent
    })
}

#[cfg(test)]
mod tests {
    use std::{
        future::ready,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use tracing::{
        Event, Level, Metadata, Subscriber, error,
        level_filters::LevelFilter,
        span::{Attributes, Id, Record},
        subscriber,
    };

    use super::*;

    static ASKED: AtomicUsize = AtomicUsize::new(0);
    static EVENTS: AtomicUsize = AtomicUsize::new(0);

    /// A subscriber that `tracing` asks for its level whenever another one is registered.
    struct Counter;

    impl Subscriber for Counter {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() == Level::ERROR
        }

        fn max_level_hint(&self) -> Option<LevelFilter> {
            ASKED.fetch_add(1, Ordering::SeqCst);
            None
        }

        fn event(&self, _: &Event<'_>) {
            EVENTS.fetch_add(1, Ordering::SeqCst);
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[tokio::test]
    async fn calls_register_no_subscriber() {
        let _counter = subscriber::set_default(Counter);
        let before = ASKED.load(Ordering::SeqCst);
        for _ in 0..1000 {
            without_tracing(ready(())).await;
        }
        // Tests beside this one may register a few.
        let asked = ASKED.load(Ordering::SeqCst) - before;
        assert!(asked < 500, "{asked} registrations");
    }

    #[tokio::test]
    async fn silence_ends_with_the_call() {
        // First met in silence, the event must be seen later.
        #[expect(clippy::disallowed_methods, reason = "stands for an event of the SDK")]
        let event = || error!("an event");
        let _counter = subscriber::set_default(Counter);
        let before = EVENTS.load(Ordering::SeqCst);
        without_tracing(async { event() }).await;
        assert_eq!(EVENTS.load(Ordering::SeqCst), before);
        event();
        assert_eq!(EVENTS.load(Ordering::SeqCst), before + 1);
    }
}
