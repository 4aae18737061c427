//! The tables of `docs/reference.md`, which each crate's unit tests compare with its events and defaults.

use std::{
    fmt::{Debug, Write},
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use tracing::{
    Dispatch, Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::{NoSubscriber, with_default},
};

/// The crates that call [`assert_events`].
const CRATES: [&str; 4] = ["ksm_storage_core", "ksm_storage_file", "ksm_storage_aws", "ksm_storage_keeper"];

/// Checks that the rows of this crate are the events and spans that `log` logs.
pub(crate) fn assert_events(log: impl FnOnce()) {
    // With one subscriber in the process, `tracing` asks the thread that meets an event first, which may be another
    // test's, and switches the event off for all. With two, it asks both.
    static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::default()));
    LazyLock::force(&SECOND);
    let logged = Logged::default();
    with_default(logged.clone(), log);
    let logged = logged.0.lock().unwrap();
    let mut rows = rows("events");
    for row in &mut rows {
        assert!(CRATES.contains(&&*row[0]), "{} has no test that compares its events", row[0]);
        row.truncate(5);
    }
    for event in &*logged {
        assert!(rows.contains(event), "docs/reference.md has no row for {event:?}");
    }
    for row in rows.iter().filter(|row| row[0] == env!("CARGO_CRATE_NAME")) {
        assert!(logged.contains(row), "docs/reference.md has a row for {row:?}, which nothing logs");
    }
}

/// Checks that the rows whose limits are `ours` begin with these limits, in this order, and have these defaults.
pub(crate) fn assert_defaults<const N: usize>(ours: impl Fn(&str) -> bool, defaults: [(&str, String); N]) {
    let rows: Vec<_> = rows("defaults").into_iter().filter(|row| ours(&row[0])).collect();
    for ((limit, default), row) in defaults.into_iter().zip(&rows) {
        assert!(row[0].starts_with(limit), "docs/reference.md has no row `{limit}` before `{}`", row[0]);
        assert_eq!(default, row[1], "code, and docs/reference.md: {}", row[0]);
    }
    assert_eq!(N, rows.len(), "defaults of the code, and rows of docs/reference.md");
}

/// The duration in the unit that the page uses.
pub(crate) fn time(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{} s", duration.as_secs()),
        _ => format!("{} ms", duration.as_millis()),
    }
}

/// The rows of a table, split into cells.
fn rows(part: &str) -> Vec<Vec<String>> {
    let page = include_str!("../../../../docs/reference.md");
    let (_, table) = page.split_once(&format!("<!-- begin {part} -->")).unwrap();
    let (table, _) = table.split_once(&format!("<!-- end {part} -->")).unwrap();
    let lines = table.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|')).skip(2);
    lines.map(|line| line.split('|').map(|cell| cell.trim().replace('`', "")).collect()).collect()
}

/// The cells of what was logged: crate, level, type, message or name, fields.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<Vec<String>>>>);

impl Logged {
    fn push(&self, metadata: &Metadata<'_>, sort: &str, name: String) {
        let name_of_crate = metadata.target().split("::").next().unwrap().to_owned();
        let level = metadata.level().as_str().to_lowercase();
        let fields: Vec<_> =
            metadata.fields().iter().map(|field| field.name()).filter(|name| *name != "message").collect();
        self.0.lock().unwrap().push(vec![name_of_crate, level, sort.to_owned(), name, fields.join(", ")]);
    }
}

impl Subscriber for Logged {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        self.push(span.metadata(), "span", span.metadata().name().to_owned());
        span::Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        struct Message(String);
        impl Visit for Message {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                if field.name() == "message" {
                    write!(self.0, "{value:?}").unwrap();
                }
            }
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        self.push(event.metadata(), "event", message.0);
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
