//! A subscriber that passes events and spans to a function.

use std::{fmt::Debug, sync::LazyLock};

use tracing::{
    Dispatch, Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::NoSubscriber,
};

/// Names and values of an event's fields; nothing of a span.
pub(crate) type Fields = Vec<(&'static str, String)>;

pub(crate) struct Collector<F>(F);

impl<F: Fn(&Metadata<'_>, Fields)> Collector<F> {
    pub(crate) fn new(collect: F) -> Self {
        // While only one subscriber is registered, `tracing` asks the thread that meets an event first, which may be
        // another test's, and switches the event off for all. With two, it asks both.
        static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::default()));
        LazyLock::force(&SECOND);
        Self(collect)
    }
}

impl<F: Fn(&Metadata<'_>, Fields) + 'static> Subscriber for Collector<F> {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        self.0(span.metadata(), Vec::new());
        span::Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        struct Visitor(Fields);
        impl Visit for Visitor {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                self.0.push((field.name(), format!("{value:?}")));
            }
        }
        let mut visitor = Visitor(Vec::new());
        event.record(&mut visitor);
        self.0(event.metadata(), visitor.0);
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
