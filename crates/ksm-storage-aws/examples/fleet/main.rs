//! Simulates fleets of programs that open one secret at once, and writes the figures of `docs/fleet.md` and
//! `docs/performance.md`.
//!
//! ```text
//! cargo run --release --package ksm-storage-aws --example fleet -- report
//! cargo run --release --package ksm-storage-aws --example fleet -- calibrate
//! ```
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a program for developers"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "figures for people"
)]

mod bind;
mod calibrate;
mod goals;
mod plot;
mod simulation;
mod table;

use std::{
    env, fs,
    num::NonZero,
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use simulation::{Fleet, Report, Retries};

const PUBLISHED: u32 = 10_000;
/// The quota that is left if other programs of the account use half.
const HALF: u32 = 5_000;

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["report"] => report(),
        ["calibrate"] => calibrate::run(),
        ["start", url] => calibrate::start(url),
        _ => println!("expected `report` or `calibrate`"),
    }
}

/// Simulates every fleet of the documentation, and writes the figures into it.
fn report() {
    let (bound, unbound, policies) = (starts(false), starts(true), policies());
    let results = Results::of(&[&bound[..], &unbound, &policies].concat());
    let goals = goals::table(&results);
    let of_binds = ["Puts", "versions stored", "bindings"];
    let of_outages = ["503 for 30 s", "all open after", "failures of first starts"];
    let of_bound = table::without(&[&of_binds[..], &["retries"]].concat());
    let of_policies = table::without(&[of_binds, of_outages].concat());
    for (page, part, text) in [
        ("docs/fleet.md", "bound", table::table(&of_bound, &results.select(&bound))),
        ("docs/fleet.md", "token", table::table(&table::without(&["retries"]), &results.select(&unbound))),
        ("docs/fleet.md", "pauses", table::table(&of_policies, &results.select(&policies))),
        ("docs/performance.md", "fleet", goals.clone()),
        // The part of `cargo xtask bench`'s report.
        ("benches/fleet.txt", "fleet", goals),
    ] {
        let page = root().join(page);
        let before = fs::read_to_string(&page).expect("the page can be read");
        fs::write(page, table::replace(&before, part, &text)).expect("the page can be written");
    }
    let write = |path, text| fs::write(root().join(path), text).expect("the plot can be written");
    write("docs/fleet.svg", plot::svg(&results.select(&goals::fleets())));
    write("docs/fleet-pauses.svg", plot::svg(&results.select(&policies)));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn starts(unbound: bool) -> Vec<Fleet> {
    let mut fleets = Vec::new();
    for starts in [100, 1_000, 10_000, 100_000] {
        for gets in [PUBLISHED, HALF] {
            for outage in [false, true] {
                fleets.push(Fleet { starts, gets, outage, unbound, ..Fleet::default() });
            }
        }
    }
    fleets
}

/// The retry policies for throttled reads, compared.
fn policies() -> Vec<Fleet> {
    let mut fleets = Vec::new();
    for (starts, gets) in [(10_000, HALF), (100_000, PUBLISHED)] {
        for retries in [Retries::Own, Retries::Sdk(200), Retries::Sdk(1_000)] {
            fleets.push(Fleet { starts, gets, retries, ..Fleet::default() });
        }
    }
    fleets
}

/// Simulated fleets, each with its report.
struct Results(Vec<(Fleet, Report)>);

impl Results {
    /// Simulates each of the fleets once, on all processors.
    fn of(fleets: &[Fleet]) -> Self {
        let mut distinct: Vec<Fleet> = Vec::new();
        for fleet in fleets {
            if !distinct.contains(fleet) {
                distinct.push(fleet.clone());
            }
        }
        // The smallest fleets come first, so that mistakes show soon.
        distinct.sort_by_key(|fleet| fleet.starts);
        let (queue, results) = (Mutex::new(distinct.into_iter()), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
                scope.spawn(|| {
                    while let Some(fleet) = next(&queue) {
                        let began = Instant::now();
                        let report = fleet.run();
                        log(&fleet, &report, began.elapsed());
                        results.lock().expect("no simulation panics").push((fleet, report));
                    }
                });
            }
        });
        Self(results.into_inner().expect("no simulation panics"))
    }

    fn report(&self, fleet: &Fleet) -> &Report {
        let found = self.0.iter().find(|(simulated, _)| simulated == fleet);
        &found.expect("every fleet was simulated").1
    }

    fn select<'a>(&'a self, fleets: &'a [Fleet]) -> Vec<(&'a Fleet, &'a Report)> {
        fleets.iter().map(|fleet| (fleet, self.report(fleet))).collect()
    }
}

fn next(queue: &Mutex<impl Iterator<Item = Fleet>>) -> Option<Fleet> {
    queue.lock().expect("no simulation panics").next()
}

/// Shows the progress.
fn log(fleet: &Fleet, report: &Report, time: Duration) {
    eprint!("{:.0} s: {}", time.as_secs_f64(), table::row(table::ALL, fleet, report));
}
