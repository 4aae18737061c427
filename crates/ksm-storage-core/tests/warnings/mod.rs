//! Collects warnings.

#[path = "../subscriber/mod.rs"]
mod subscriber;

use std::sync::{Arc, Mutex};

use tracing::{Level, Subscriber};

use self::subscriber::Collector;

/// The warnings of targets with this prefix, one per line.
pub(crate) struct Warnings(Arc<Mutex<String>>, &'static str);

impl Warnings {
    pub(crate) fn of(prefix: &'static str) -> Self {
        Self(Arc::default(), prefix)
    }

    pub(crate) fn subscriber(&self) -> impl Subscriber + Send + Sync + use<> {
        let (text, prefix) = (Arc::clone(&self.0), self.1);
        Collector::new(move |metadata, fields| {
            if *metadata.level() == Level::WARN && metadata.target().starts_with(prefix) {
                let fields = fields.into_iter().map(|(name, value)| format!("{name}={value} "));
                text.lock().unwrap().push_str(&(fields.collect::<String>() + "\n"));
            }
        })
    }

    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}
