//! The tables of `docs/reference.md`, which each crate's unit tests compare with its events and defaults.

#[path = "../subscriber/mod.rs"]
mod subscriber;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tracing::subscriber::with_default;

use self::subscriber::Collector;

/// One value of each variant. Omitting one is a compile error.
macro_rules! variants {
    ($type:ident: $($variant:ident $({ $($fields:tt)* })?)*) => {{
        let all = [$($type::$variant { $($($fields)*)? }),*];
        match &all[0] { $($type::$variant { .. })|* => {} }
        all
    }};
}
pub(crate) use variants;

/// The crates that call [`assert_events`].
const CRATES: [&str; 4] = ["ksm_storage_core", "ksm_storage_file", "ksm_storage_aws", "ksm_storage_keeper"];

/// Checks that the rows of this crate are the events and spans that `log` logs.
pub(crate) fn assert_events(log: impl FnOnce()) {
    let logged = Arc::new(Mutex::new(Vec::new()));
    let collected = Arc::clone(&logged);
    let collector = Collector::new(move |metadata, fields| {
        let message = fields.into_iter().find(|(name, _)| *name == "message");
        let (sort, name) = match message {
            Some((_, message)) => ("event", message),
            None => ("span", metadata.name().to_owned()),
        };
        let names: Vec<_> =
            metadata.fields().iter().map(|field| field.name()).filter(|name| *name != "message").collect();
        let name_of_crate = metadata.target().split("::").next().unwrap().to_owned();
        let level = metadata.level().as_str().to_lowercase();
        collected
            .lock()
            .unwrap()
            .push([name_of_crate, level, sort.to_owned(), name, names.join(", ")].to_vec());
    });
    with_default(collector, log);
    let logged = logged.lock().unwrap();
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
