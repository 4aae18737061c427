//! Simulates fleets of programs that open one secret at once, and prints the tables of `docs/fleet.md`.
//!
//! ```text
//! cargo run --release --example fleet -- bound
//! cargo run --release --example fleet -- unbound
//! cargo run --release --example fleet -- policies docs/fleet.svg
//! cargo run --release --example fleet -- calibrate
//! ```
#![allow(clippy::expect_used, clippy::print_stdout, reason = "a program for developers")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "figures for people"
)]

mod bind;
mod calibrate;
mod plot;
mod simulation;

use std::{env, fs};

use simulation::{Fleet, Report, Retries};

const PUBLISHED: u32 = 10_000;
/// The quota that is left if other programs of the account use half.
const HALF: u32 = 5_000;

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["bound"] => starts(false),
        ["unbound"] => starts(true),
        ["policies", file] => fs::write(file, policies()).expect("the file can be written"),
        ["calibrate"] => calibrate::run(),
        ["start", url] => calibrate::start(url),
        _ => println!("expected `bound`, `unbound`, `policies FILE` or `calibrate`"),
    }
}

fn starts(unbound: bool) {
    println!("{HEAD}");
    for starts in [100, 1_000, 10_000, 100_000] {
        for gets in [PUBLISHED, HALF] {
            for outage in [false, true] {
                row(&Fleet { starts, gets, outage, unbound, ..Fleet::default() });
            }
        }
    }
}

/// Compares the retry policies for throttled reads. Prints a table and returns the plot.
fn policies() -> String {
    println!("{HEAD}");
    let mut plots = Vec::new();
    for (starts, gets) in [(10_000, HALF), (100_000, PUBLISHED)] {
        for (retries, name) in [
            (Retries::Own, "own pauses"),
            (Retries::Sdk(200), "SDK, 200 ms"),
            (Retries::Sdk(1_000), "SDK, 1 s"),
        ] {
            let report = row(&Fleet { starts, gets, retries, ..Fleet::default() });
            plots.push((format!("{starts} starts, {gets} Gets per second, {name}"), report));
        }
    }
    plot::svg(&plots)
}

const HEAD: &str = "| starts | Gets per second | 503 for 30 s | retries | opened | Gets per start | Puts | versions stored | median | 99 % | longest | all open after | failures of first starts |\n\
                    |---|---|---|---|---|---|---|---|---|---|---|---|---|";

fn row(fleet: &Fleet) -> Report {
    let report = fleet.run();
    let retries = match fleet.retries {
        Retries::Own => "own".to_owned(),
        Retries::Sdk(first) => format!("SDK, {first} ms"),
    };
    let failures: Vec<_> = report.failures.iter().map(|(kind, count)| format!("{count} `{kind}`")).collect();
    let is_complete = fleet.outage || report.failures.is_empty();
    let last = if is_complete { format!("{:.1} s", report.last.as_secs_f64()) } else { String::new() };
    let seconds = |share| format!("{:.2} s", report.quantile(share).as_secs_f64());
    println!(
        "| {} | {} | {} | {retries} | {:.1} % | {:.2} | {} | {} | {} | {} | {} | {last} | {} |",
        fleet.starts,
        fleet.gets,
        if fleet.outage { "yes" } else { "" },
        100.0 * report.opened(),
        report.gets_per_start(),
        report.puts,
        report.stored,
        seconds(0.5),
        seconds(0.99),
        seconds(1.0),
        failures.join(", "),
    );
    report
}
