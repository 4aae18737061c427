//! Large numbers of random programs on each backend.

use std::{
    fmt::Write,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use ksm_storage::Writes;
use ksm_storage_testkit::{
    FailureKind, SystemUnderTest,
    internal::{Mode, Summary, check_histories},
};
use libtest_mimic::{Arguments, Failed, Trial};

use crate::backends::Backend;

type Rows = Mutex<Vec<(String, Summary)>>;

/// Runs about `total` histories, divided evenly among backends and modes.
pub(crate) fn run(args: &Arguments, backends: &[Arc<Backend>], total: u32) -> ExitCode {
    let fast: Vec<_> = backends.iter().filter(|backend| backend.is_fast).collect();
    let pairs = fast.len() * Mode::ALL.len();
    let each = total.div_ceil(u32::try_from(pairs).unwrap_or(u32::MAX).max(1)).max(1);
    let rows = Arc::<Rows>::default();
    let pairs = fast.into_iter().flat_map(|backend| Mode::ALL.map(|mode| (backend, mode)));
    let trials = pairs.map(|(backend, mode)| {
        let (backend, rows) = (Arc::clone(backend), Arc::clone(&rows));
        let name = format!("{}::histories::{}", backend.name, mode.to_string().replace(' ', "_"));
        Trial::test(name, move || {
            let summary = check(&backend, mode, each)?;
            let row = (format!("{} | {mode}", backend.name), summary);
            rows.lock().unwrap_or_else(PoisonError::into_inner).push(row);
            Ok(())
        })
    });
    let conclusion = libtest_mimic::run(args, trials.collect());
    let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
    rows.sort_by(|(one, _), (other, _)| one.cmp(other));
    if !rows.is_empty() {
        println!("{}", table(&rows));
    }
    conclusion.exit_code()
}

fn check(backend: &Backend, mode: Mode, histories: u32) -> Result<Summary, Failed> {
    let sut = SystemUnderTest::new(backend.fixture()?);
    let runtime = runtime()?;
    let (summary, writes) = runtime.block_on(runtime.spawn(async move {
        let writes = sut.fixture.fresh().await.open().await.capabilities().writes;
        (check_histories(&sut, mode, histories).await, writes)
    }))?;
    let summary = summary?;
    if writes == Writes::Exact && summary.displaced > 0 {
        return Err("an exact backend displaced a foreign write".into());
    }
    Ok(summary)
}

/// Searches up to 1,000 histories of a faulty implementation for an incorrect one.
pub(crate) fn find(faulty: SystemUnderTest, mode: Mode) -> Result<(), Failed> {
    let runtime = runtime()?;
    let checked =
        runtime.block_on(runtime.spawn(async move { check_histories(&faulty, mode, 1_000).await }))?;
    match checked {
        Err(failure) if failure.kind() == FailureKind::Wrong => Ok(()),
        Err(failure) => Err(format!("the random programs prove nothing: {failure}").into()),
        Ok(_) => Err("1,000 random programs do not find it".into()),
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build()
}

/// The summaries as a table in Markdown.
fn table(rows: &[(String, Summary)]) -> String {
    let mut text = String::from(
        "| backend | against | histories | calls | overlapping | unknown outcomes | faults | displaced | inconclusive |\n\
         |---|---|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    let mut sum = Summary::default();
    for (_, summary) in rows {
        sum += *summary;
    }
    let sum = ("in all |".to_owned(), sum);
    for (name, summary) in rows.iter().chain([&sum]) {
        let Summary { histories, calls, overlapping, unknown, injected, displaced, inconclusive, .. } =
            summary;
        let share = overlapping * 100 / (*histories).max(1);
        let _ = writeln!(
            text,
            "| {name} | {histories} | {calls} | {share} % | {unknown} | {injected} | {displaced} | {inconclusive} |"
        );
    }
    text
}
