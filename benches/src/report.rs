//! The report, docs/performance.md.

use crate::{
    Measured,
    goals::{self, Goal},
    queue::WRITERS,
    samples::{Samples, Table, ratio, rounded},
    start::{BARE, BARE_SDK, JOB, OURS, PYTHON},
};

pub(crate) fn markdown(measured: &Measured, rounds: usize, machine: &str) -> String {
    let Measured { starts, queue, reads } = measured;
    let left_out = starts.left_out.iter().map(|what| format!("Not run: {what}.\n\n")).collect();
    let start = [BARE, OURS, PYTHON].map(|name| {
        let of = |via| milliseconds(&starts.opening, name, via);
        let bare = relative(&starts.opening, name, BARE);
        [format!("`{name}`"), of("http"), of("https"), of("nginx"), bare]
    });
    let main_job = [PYTHON, BARE_SDK, JOB].map(|name| {
        let (records, binding) = (&starts.records, &starts.binding);
        let [https, nginx] = ["https", "nginx"].map(|via| milliseconds(records, name, via));
        let [bare, python] = [BARE_SDK, PYTHON].map(|other| relative(records, name, other));
        let bind = milliseconds(binding, name, "https");
        [format!("`{name}`"), https, nginx, bare, python, bind, relative(binding, name, PYTHON)]
    });
    let read = reads.iter().filter_map(|(name, samples)| {
        let (subject, threads) = name.split_once('/')?;
        let bare = ratio(reads, name, &format!("arc_swap_load_index/{threads}"))?.median();
        let nanoseconds = format!("{:.1} ns", samples.median());
        Some([format!("`{subject}`"), threads.to_owned(), nanoseconds, format!("{bare:.2} ×")])
    });
    let many = format!("{WRITERS} writers");
    let write = [("one writer", &queue.one), (&many, &queue.many)].map(|(name, samples)| {
        let of = |percent| format!("{:.2} ×", samples.percentile(percent) / queue.one.median());
        [name.to_owned(), of(50.0), of(90.0), of(99.0), of(100.0)]
    });
    let parts = [
        ("rounds", rounds.to_string()),
        ("roots", starts.roots.to_string()),
        ("left out", left_out),
        ("goals", rows(goals::all(measured).iter().map(goal))),
        ("start plot", plot(&starts.opening, &[BARE, OURS, PYTHON])),
        ("start", rows(start)),
        ("main job plot", plot(&starts.records, &[PYTHON, BARE_SDK, JOB])),
        ("main job", rows(main_job)),
        ("read", rows(read)),
        ("writers", WRITERS.to_string()),
        ("speed up", format!("{:.1}", queue.speed_up)),
        ("write", rows(write)),
        ("python package", include_str!("../python.md").to_owned()),
        ("fleet", include_str!("../fleet.txt").to_owned()),
        ("machine", machine.to_owned()),
    ];
    let mut text = include_str!("../report.md").to_owned();
    for (name, part) in parts {
        text = text.replace(&format!("{{{name}}}"), &part);
    }
    text.trim_end().to_owned() + "\n"
}

fn goal(goal: &Goal) -> [String; 4] {
    let bound = match goal.range.clone().into_inner() {
        (least, f64::INFINITY) => format!("at least {least}"),
        (0.0, most) => format!("at most {most}"),
        (least, most) => format!("{least} to {most}"),
    };
    let met = match goal.is_met() {
        None => "not measured",
        Some(true) => "met",
        Some(false) => "**missed**",
    };
    let is_reliable = goal.figure.as_ref().is_none_or(Samples::is_reliable);
    let doubt = if is_reliable { "" } else { ", *unreliable*" };
    let figure = goal.figure.as_ref().map_or_else(String::new, |figure| number(figure.median()));
    [goal.subject.clone(), bound, figure, format!("{met}{doubt}")]
}

/// A plot of the times over HTTPS, on a logarithmic axis.
fn plot(times: &Table, names: &[&str]) -> String {
    const DECADE: f64 = 25.0;
    let column = |milliseconds: f64| rounded(milliseconds.max(1.0).log10() * DECADE);
    let mut lines = format!("{:13}1 ms{:21}10 ms{:20}100 ms{:19}1 s\n", "", "", "", "");
    for name in names {
        let Some(samples) = times.get(&format!("{name}/https")) else { continue };
        let [from, at, to] = [10.0, 50.0, 90.0].map(|percent| column(samples.percentile(percent)));
        lines += &format!("{name:<13}{:from$}{}●{}\n", "", "─".repeat(at - from), "─".repeat(to - at));
    }
    lines
}

fn rows<const N: usize>(rows: impl IntoIterator<Item = [String; N]>) -> String {
    rows.into_iter().map(|row| format!("| {} |\n", row.join(" | "))).collect()
}

fn milliseconds(table: &Table, name: &str, via: &str) -> String {
    let samples = table.get(&format!("{name}/{via}"));
    samples.map_or_else(String::new, |samples| format!("{:.1} ms", samples.median()))
}

fn relative(table: &Table, name: &str, other: &str) -> String {
    let ratio = ratio(table, &format!("{name}/https"), &format!("{other}/https"));
    ratio.map_or_else(String::new, |ratio| format!("{} ×", number(ratio.median())))
}

/// Formats a figure; small ratios have three digits.
fn number(figure: f64) -> String {
    let digits = if figure < 0.1 { 3 } else { 2 };
    format!("{figure:.digits$}")
}
