//! Forwards `tracing` events to Python's `logging`.
//!
//! Runtime threads only append to a list. Threads that call in from Python empty it, and pass the records to the
//! loggers. The list is lock-free, because a child process must be able to append to it after a fork.

use std::{
    fmt::{self, Write},
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use pyo3::prelude::*;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
};

/// The maximum number of records that wait for a Python thread.
const LIMIT: usize = 1000;

struct Entry {
    /// A level of `logging`.
    level: u8,
    text: String,
    length: usize,
    earlier: Option<Arc<Self>>,
}

static ENTRIES: ArcSwapOption<Entry> = ArcSwapOption::const_empty();
static ANY: AtomicBool = AtomicBool::new(false);

/// Installs a collector for this process's events.
pub(crate) fn install() {
    // The only subscriber in this library. A second import finds the first one installed.
    let _ = tracing::subscriber::set_global_default(Collector);
}

/// Removes and returns the collected records: level and text.
#[pyfunction]
pub(crate) fn take_records() -> Vec<(u8, String)> {
    if !ANY.swap(false, Ordering::AcqRel) {
        return Vec::new();
    }
    let mut records = Vec::new();
    let mut next = ENTRIES.swap(None);
    while let Some(entry) = next.take() {
        next.clone_from(&entry.earlier);
        records.push((entry.level, entry.text.clone()));
    }
    records.reverse();
    records
}

struct Collector;

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && *metadata.level() <= Level::INFO
            && metadata.target().starts_with("ksm_storage")
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn event(&self, event: &Event<'_>) {
        let level = match *event.metadata().level() {
            Level::ERROR => 40,
            Level::WARN => 30,
            _ => 20,
        };
        let mut line = Line::default();
        event.record(&mut line);
        let text = mem::take(&mut line.message) + &line.fields;
        ENTRIES.rcu(|earlier| {
            let length = earlier.as_ref().map_or(0, |entry| entry.length) + 1;
            if length > LIMIT {
                return earlier.clone();
            }
            Some(Arc::new(Entry { level, text: text.clone(), length, earlier: earlier.clone() }))
        });
        ANY.store(true, Ordering::Release);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a `String` cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
