//! The tables of `docs/fleet.md`.

use crate::simulation::{Fleet, Report, Retries};

/// The columns of the log.
pub(crate) const ALL: &[&str] = &[
    "starts",
    "Gets per second",
    "503 for 30 s",
    "retries",
    "opened",
    "Gets per start",
    "Puts",
    "versions stored",
    "bindings",
    "median",
    "99 %",
    "longest",
    "all open after",
    "failures of first starts",
];

/// All columns except these.
pub(crate) fn without(omitted: &[&str]) -> Vec<&'static str> {
    ALL.iter().copied().filter(|column| !omitted.contains(column)).collect()
}

pub(crate) fn table(columns: &[&str], rows: &[(&Fleet, &Report)]) -> String {
    let head = format!("| {} |\n|{}\n", columns.join(" | "), "---|".repeat(columns.len()));
    head + &rows.iter().map(|(fleet, report)| row(columns, fleet, report)).collect::<String>()
}

pub(crate) fn row(columns: &[&str], fleet: &Fleet, report: &Report) -> String {
    let cells: Vec<_> = columns.iter().map(|column| cell(column, fleet, report)).collect();
    format!("| {} |\n", cells.join(" | "))
}

fn cell(column: &str, fleet: &Fleet, report: &Report) -> String {
    let time = |share| {
        let time = report.quantile(share).as_secs_f64();
        if report.times.is_empty() { String::new() } else { format!("{time:.2} s") }
    };
    match column {
        "starts" => fleet.starts.to_string(),
        "Gets per second" => fleet.gets.to_string(),
        "503 for 30 s" => if fleet.outage { "yes" } else { "" }.to_owned(),
        "retries" => match fleet.retries {
            Retries::Own => "own".to_owned(),
            Retries::Sdk(first) => format!("SDK, {first} ms"),
        },
        "opened" => percent(report.opened()),
        "Gets per start" => format!("{:.2}", report.gets_per_start()),
        "Puts" => report.puts.to_string(),
        "versions stored" => report.stored.to_string(),
        "bindings" => report.bindings.to_string(),
        "median" => time(0.5),
        "99 %" => time(0.99),
        "longest" => time(1.0),
        "all open after" => {
            report.last.map_or_else(String::new, |last| format!("{:.1} s", last.as_secs_f64()))
        }
        _ => failures(report),
    }
}

/// Failed first starts by kind.
pub(crate) fn failures(report: &Report) -> String {
    let failures = report.failures.iter().map(|(kind, count)| format!("{count} `{kind}`"));
    failures.collect::<Vec<_>>().join(", ")
}

/// A share in percent. Only all are 100.0 %.
pub(crate) fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if share > 0.999 && share < 1.0 { format!("{percent:.2} %") } else { format!("{percent:.1} %") }
}

/// Replaces a part of a page that is enclosed in comments.
pub(crate) fn replace(page: &str, part: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- begin {part} -->\n"), format!("<!-- end {part} -->\n"));
    let (before, rest) = page.split_once(&begin).expect("the part begins");
    let (_, after) = rest.split_once(&end).expect("the part ends");
    format!("{before}{begin}\n{text}\n{end}{after}")
}
