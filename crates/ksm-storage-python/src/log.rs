//! From `tracing` to Python's `logging`.
//!
//! Threads of the runtime only add to a list. The threads that call from Python take it from there, and hand it to the loggers. The list is free of locks, because a child process must be able to add to it after a fork.

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

/// The most records that wait for a thread of Python.
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

/// Collects the events of this process that a program may want to see.
pub(crate) fn install() {
    // It is the only one in this library; a second import of it finds the first.
    let _ = tracing::subscriber::set_global_default(Collector);
}

/// Takes the records that have been collected: level and text.
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
        // A `String` takes everything.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
