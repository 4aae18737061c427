//! What was to be reached, and whether it was.

use crate::{
    processes::{INCREMENTS, PROCESSES},
    queue::BURST,
    report::{Report, ratio_text},
    samples::{Samples, Table},
    start::{BARE, BARE_DEFAULT, OURS, OURS_MINIMAL, PYTHON},
};

/// What the benches of the testkit's checker are called.
pub(crate) const CHECK: &str = "check/";

pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) reach: String,
    pub(crate) figure: String,
    /// `None` if it was not measured.
    pub(crate) met: Option<bool>,
}

impl Goal {
    fn at_most(what: impl Into<String>, goal: f64, figure: Option<f64>) -> Self {
        let text = figure.map_or_else(|| "not run".to_owned(), ratio_text);
        let met = figure.map(|figure| figure <= goal);
        Self { what: what.into(), reach: format!("at most {goal} ×"), figure: text, met }
    }

    fn at_least(what: impl Into<String>, goal: f64, figure: Option<f64>) -> Self {
        let met = figure.map(|figure| figure >= goal);
        Self { reach: format!("at least {goal} ×"), met, ..Self::at_most(what, goal, figure) }
    }

    fn count(what: impl Into<String>, reach: String, figure: String, met: bool) -> Self {
        Self { what: what.into(), reach, figure, met: Some(met) }
    }
}

pub(crate) fn all(report: &Report) -> Vec<Goal> {
    let starts = &report.starts;
    let start = |table: &Table, name, other| ratio(table, name, other);
    let mut goals = Vec::new();
    for name in [OURS, OURS_MINIMAL] {
        goals.push(Goal::at_most(
            format!("start of `{name}` over HTTP, by `{BARE}`"),
            1.05,
            start(&starts.http, name, BARE),
        ));
        goals.push(Goal::at_least(
            format!("start of Python's `AwsSecretStorage` over HTTP, by `{name}`"),
            35.0,
            start(&starts.http, PYTHON, name),
        ));
        goals.push(Goal::at_most(
            format!("start of `{name}` over HTTPS, by `{BARE_DEFAULT}`"),
            0.5,
            start(&starts.https, name, BARE_DEFAULT),
        ));
        let peak = starts.peak[name].median() / 1024.0;
        let goal = "at most 10 MiB".to_owned();
        goals.push(Goal::count(
            format!("peak memory of `{name}` over HTTPS"),
            goal,
            format!("{peak:.1} MiB"),
            peak <= 10.0,
        ));
    }
    reads(&mut goals, &report.reads);
    let puts = report.queue.puts;
    let what = format!("put calls for {BURST} concurrent calls of `set`");
    goals.push(Goal::count(what, "at most 10".to_owned(), puts.to_string(), puts <= 10));
    let all = PROCESSES * INCREMENTS;
    let counted = report.processes.counted;
    let what = format!("increments of {PROCESSES} processes that are counted");
    goals.push(Goal::count(what, format!("{all} of {all}"), counted.to_string(), counted == all));
    let failed = report.processes.conflicts + report.processes.timeouts;
    let what = "their updates that end in a conflict or a timeout".to_owned();
    goals.push(Goal::count(what, "0".to_owned(), failed.to_string(), failed == 0));
    let checked = report.benches.iter().filter(|(name, _)| name.starts_with(CHECK));
    let slowest = checked.map(|(_, nanoseconds)| nanoseconds / 1e6).reduce(f64::max);
    goals.push(Goal {
        what: "judging a history of 4 clients with 15 calls each, the slowest kind".to_owned(),
        reach: "at most 10 ms".to_owned(),
        figure: slowest.map_or_else(|| "not run".to_owned(), |slowest| format!("{slowest:.2} ms")),
        met: slowest.map(|slowest| slowest <= 10.0),
    });
    goals
}

fn reads(goals: &mut Vec<Goal>, reads: &Table) {
    const PEER: &str = "aws_secretsmanager_caching";
    goals.push(Goal::at_most(
        "`get`, by `ArcSwap::load` and an index, on one thread",
        1.3,
        ratio(reads, "get/1", "arc_swap_load_index/1"),
    ));
    // By how much more two threads take than the control does.
    let of_control = |name: &str| {
        Some(Samples::by(
            &reads.get(&format!("{name}/2"))?.by(reads.get(&format!("{name}/1"))?),
            &reads.get("control/2")?.by(reads.get("control/1")?),
        ))
    };
    goals.push(Goal::at_most(
        "`get` on two threads, by one, by the control",
        1.2,
        of_control("get").map(|samples| samples.median()),
    ));
    for (threads, goal) in [(1, 8.0), (2, 15.0)] {
        goals.push(Goal::at_least(
            format!("cached read of `{PEER}`, by `get`, threads: {threads}"),
            goal,
            ratio(reads, &format!("{PEER}/{threads}"), &format!("get/{threads}")),
        ));
    }
}

fn ratio(table: &Table, name: &str, other: &str) -> Option<f64> {
    Some(table.get(name)?.by(table.get(other)?).median())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_missed_or_not_run() {
        assert_eq!(Goal::at_most("", 1.0, Some(1.0)).met, Some(true));
        assert_eq!(Goal::at_most("", 1.0, Some(1.1)).met, Some(false));
        assert_eq!(Goal::at_least("", 1.0, Some(0.9)).met, Some(false));
        assert_eq!(Goal::at_least("", 1.0, Some(f64::NAN)).met, Some(false));
        let not_run = Goal::at_least("", 1.0, None);
        assert_eq!((not_run.met, &*not_run.figure, &*not_run.reach), (None, "not run", "at least 1 ×"));
    }
}
