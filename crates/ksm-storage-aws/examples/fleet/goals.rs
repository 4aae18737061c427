//! The goals of a fleet, as a table.

use crate::{
    HALF, PUBLISHED, Results,
    simulation::{DEADLINE, Fleet, Report},
    table::{failures, percent},
};

/// The fleets that the goals are about, and the plot shows.
pub(crate) fn fleets() -> [Fleet; 4] {
    let fleet = |starts, gets, unbound| Fleet { starts, gets, unbound, ..Fleet::default() };
    [
        fleet(10_000, HALF, false),
        fleet(100_000, PUBLISHED, false),
        fleet(10_000, HALF, true),
        fleet(100_000, PUBLISHED, true),
    ]
}

pub(crate) fn table(results: &Results) -> String {
    let fleets = fleets();
    let [many, most, token, tokens] = fleets.each_ref().map(|fleet| results.report(fleet));
    let (last, gets) = (many.quantile(1.0), many.gets_per_start());
    let calls: Vec<_> = most.seconds.iter().map(|second| second[0]).collect();
    let (first, later) = (calls[0], calls[1..].iter().copied().max().unwrap_or_default());
    let rows = [
        (
            "10,000 starts at 5,000 Gets a second open within 15 s",
            format!("{}, the last after {:.1} s", percent(many.opened()), last.as_secs_f64()),
            many.failures.is_empty() && last <= DEADLINE,
        ),
        ("with at most 1.7 Gets each", format!("{gets:.2}"), gets <= 1.7),
        (
            "100,000 starts at 10,000 Gets a second: throttling reduces calls instead of multiplying them",
            format!(
                "{} calls in the first second, at most {} in a later one",
                thousands(first),
                thousands(later)
            ),
            later < first,
        ),
        (
            "10,000 starts with one token: one binds; the others adopt its binding or fail with `TokenSpent`",
            one_token(token),
            is_met(token),
        ),
        ("the same with 100,000 starts", one_token(tokens), is_met(tokens)),
    ];
    let rows = rows.into_iter().map(|(goal, figure, is_met)| row(goal, &figure, is_met));
    "| goal | simulated | |\n|---|---|---|\n".to_owned() + &rows.collect::<String>()
}

fn row(goal: &str, figure: &str, is_met: bool) -> String {
    let met = if is_met { "met" } else { "**missed**" };
    format!("| {goal} | {figure} | {met} |\n")
}

/// A number of at least a thousand.
fn thousands(number: u32) -> String {
    format!("{},{:03}", number / 1_000, number % 1_000)
}

fn one_token(report: &Report) -> String {
    let share = percent(report.opened());
    let plural = if report.bindings == 1 { "" } else { "s" };
    let failures = if report.failures.is_empty() { String::new() } else { format!("; {}", failures(report)) };
    format!("{} binding{plural}, {share} opened{failures}", report.bindings)
}

fn is_met(report: &Report) -> bool {
    report.bindings == 1 && report.failures.keys().all(|kind| kind == "TokenSpent")
}
