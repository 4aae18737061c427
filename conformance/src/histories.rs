//! Random programs on each backend, in great numbers.

use std::{
    io::{IsTerminal, Write, stderr},
    sync::Arc,
    time::{Duration, Instant},
};

use ksm_storage_core::Writes;
use ksm_storage_testkit::{AsyncCore, Failure, FailureKind, Fixture, Mode, Subject, Tally, check_histories};
use serde_json::{Value, json};

use crate::backends;

/// The backends that are quick enough.
pub(crate) const BACKENDS: [&str; 4] = ["memory", "file", "aws-emulator", "aws-emulator-strict"];

/// Histories between two reports of progress.
const CHUNK: u32 = 500;

/// What one backend made of one mode.
pub(crate) struct Row {
    backend: &'static str,
    mode: Mode,
    tally: Tally,
    time: Duration,
    failure: Option<String>,
}

impl Row {
    pub(crate) fn passed(&self) -> bool {
        self.failure.is_none() && self.tally.histories > 0
    }
}

/// Runs `total` histories, shared out evenly among the backends and modes; at least one each.
pub(crate) fn run(names: &[String], total: u32) -> Result<Vec<Row>, String> {
    let chosen: Vec<_> = BACKENDS
        .into_iter()
        .filter(|name| names.is_empty() || names.iter().any(|wanted| wanted == name))
        .collect();
    if chosen.is_empty() {
        return Err(format!("histories are run on {}", BACKENDS.join(", ")));
    }
    let pairs = u32::try_from(chosen.len() * Mode::ALL.len()).unwrap_or(u32::MAX);
    let each = total.div_ceil(pairs);
    let mut rows = Vec::new();
    for backend in chosen {
        let make = backends::ALL.iter().find(|(name, _)| *name == backend).map(|(_, make)| make);
        let fixture = make.ok_or_else(|| format!("there is no backend {backend}"))?()?;
        for mode in Mode::ALL {
            rows.push(pair(backend, &fixture, mode, each)?);
        }
    }
    Ok(rows)
}

/// Looks for what is wrong with the subject, in as many histories as it may take.
pub(crate) fn find(broken: &Subject, mode: Mode) -> Result<(), &'static str> {
    let runtime = runtime().map_err(|_| "no runtime")?;
    let broken = broken.clone();
    let checked = runtime.block_on(runtime.spawn(async move { check_histories(&broken, mode, 1_000).await }));
    match checked {
        Ok(Err(failure)) if failure.kind() == FailureKind::Wrong => Ok(()),
        Ok(Err(_)) => Err("the random programs show nothing"),
        Ok(Ok(_)) => Err("1,000 random programs do not find it"),
        Err(_) => Err("the search panicked"),
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build()
}

fn pair(
    backend: &'static str,
    fixture: &Arc<dyn Fixture>,
    mode: Mode,
    histories: u32,
) -> Result<Row, String> {
    let runtime = runtime().map_err(|error| format!("no runtime: {error}"))?;
    let subject = Subject { fixture: Arc::clone(fixture), core: Arc::new(AsyncCore) };
    let start = Instant::now();
    let mut row = Row { backend, mode, tally: Tally::default(), time: Duration::ZERO, failure: None };
    let mut left = histories;
    while left > 0 && row.failure.is_none() {
        let now = left.min(CHUNK);
        let subject = subject.clone();
        let checked = runtime.block_on(runtime.spawn(async move {
            let exact = subject.fixture.fresh().await.open().await.capabilities().writes == Writes::Exact;
            let tally = check_histories(&subject, mode, now).await?;
            if exact && tally.displaced > 0 {
                return Err("an exact backend displaced a foreign write".into());
            }
            Ok::<_, Failure>(tally)
        }));
        match checked.map_err(|error| error.to_string())? {
            Ok(tally) => row.tally += tally,
            Err(failure) => row.failure = Some(failure.to_string()),
        }
        left -= now;
        progress(&format!("{backend}, {mode}: {} of {histories}", row.tally.histories));
    }
    row.time = start.elapsed();
    progress("");
    Ok(row)
}

/// A line that the next one overwrites, where there is somebody to see it.
fn progress(text: &str) {
    if stderr().is_terminal() {
        eprint!("\r\u{1b}[K{text}");
        let _ = stderr().flush();
    }
}

pub(crate) fn json(rows: &[Row]) -> Value {
    let row = |Row { backend, mode, tally, failure, .. }: &Row| {
        json!({
            "backend": backend,
            "mode": mode.to_string(),
            "histories": tally.histories,
            "inconclusive": tally.inconclusive,
            "displaced": tally.displaced,
            "overlapping": tally.overlapping,
            "calls": tally.calls,
            "unknown": tally.unknown,
            "injected": tally.injected,
            "failure": failure,
        })
    };
    Value::Array(rows.iter().map(row).collect())
}

/// A table in Markdown, which reads well as it is.
pub(crate) fn markdown(rows: &[Row]) -> String {
    use std::fmt::Write as _;
    let mut text = String::from(
        "| backend | against | histories | calls | overlapping | unknown outcomes | faults | displaced | inconclusive | violations |\n\
         |---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    let mut line = |backend: &str, mode: &str, tally: &Tally, violations: usize| {
        let Tally { histories, calls, overlapping, unknown, injected, displaced, inconclusive, .. } = tally;
        let share = overlapping * 100 / (*histories).max(1);
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| {backend} | {mode} | {histories} | {calls} | {share} % | {unknown} | {injected} | {displaced} | {inconclusive} | {violations} |"
        );
    };
    let mut sum = Tally::default();
    for Row { backend, mode, tally, failure, .. } in rows {
        sum += *tally;
        line(backend, &mode.to_string(), tally, usize::from(failure.is_some()));
    }
    let violations = rows.iter().filter(|row| row.failure.is_some()).count();
    line("in all", "", &sum, violations);
    text
}

/// The table, the time that each row took, and what was wrong.
pub(crate) fn print(rows: &[Row]) {
    println!("{}", markdown(rows));
    for Row { backend, mode, tally, time, failure } in rows {
        let each = time.as_secs_f64() * 1e3 / f64::from(u32::try_from(tally.histories).unwrap_or(1).max(1));
        eprintln!("{backend}, {mode}: {:.1} s, {each:.2} ms each", time.as_secs_f64());
        if let Some(failure) = failure {
            println!("\nFAILED: {backend}, {mode}: {failure}");
        }
    }
}
