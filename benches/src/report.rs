//! docs/performance.md.

use crate::{
    Measured,
    goals::{self, Bound, Goal},
    queue::{Queue, WRITERS},
    samples::{Samples, Table, ratio},
    start::{BARE, BARE_DEFAULT, OURS, OURS_MINIMAL, PROGRAMS, PYTHON, Starts},
};

pub(crate) fn markdown(measured: &Measured, rounds: usize, machine: &[String]) -> String {
    let sections = [
        format!(
            "# Performance\n\nWritten by `cargo xtask bench`. Only ratios and counts are claimed: times are those of one machine. \
             A ratio is the median of {rounds} ratios of neighbours, measured in turn. The service is the emulator on loopback, so \
             that neither a network nor a server in Python is part of the comparison.\n"
        ),
        goals(&goals::all(measured)),
        starts(&measured.starts),
        reads(&measured.reads),
        writes(&measured.queue),
        include_str!("../python.md").to_owned(),
        format!(
            "## Repeat it\n\nRun `cargo xtask bench`, which needs python3 for Keeper's package; without it the report says so. Leave \
             the machine idle meanwhile.\n\nMeasured with:\n\n- {}\n",
            machine.join("\n- ")
        ),
    ];
    sections.join("\n")
}

fn goals(goals: &[Goal]) -> String {
    let row = |goal: &Goal| {
        let bound = match goal.bound {
            Bound::AtMost(most) => format!("at most {most}"),
            Bound::AtLeast(least) => format!("at least {least}"),
        };
        let figure = goal.figure.map_or_else(String::new, |figure| format!("{figure:.2}"));
        let verdict = goal.is_met().map_or("not measured", |met| if met { "met" } else { "**missed**" });
        vec![goal.subject.clone(), bound, figure, verdict.to_owned()]
    };
    "## Goals\n\n".to_owned() + &table(&["", "goal", "measured", ""], goals.iter().map(row))
}

fn starts(starts: &Starts) -> String {
    let Starts { http, https, peak, roots, without_python } = starts;
    let not_run = without_python.as_ref().map(|why| format!("`{PYTHON}` was not run: {why}.\n\n"));
    let by_bare = format!("relative to `{BARE_DEFAULT}`");
    let names = PROGRAMS.into_iter().chain([PYTHON]).filter(|name| http.contains_key(*name));
    let programs = names.map(|name| {
        let mut row = vec![format!("`{name}`")];
        for table in [http, https] {
            row.extend([milliseconds(table, name), relative(table, name, BARE_DEFAULT)]);
        }
        row.push(format!("{:.1} MiB", peak[name].median() / 1024.0));
        row
    });
    let programs =
        table(&["", "HTTP, median", &by_bare, "HTTPS, median", &by_bare, "peak memory, HTTPS"], programs);
    format!(
        "## Start\n\nA process from its start to its end, which reads one configuration. `{BARE_DEFAULT}` and `{BARE}` are the AWS \
         SDK and one `GetSecretValue`, with default and with minimal features; `{OURS}` opens a storage with the feature `aws`, \
         `{OURS_MINIMAL}` with `aws-minimal` and `tls-ring`; `{PYTHON}` is Keeper's `AwsSecretStorage`. All but the last have the \
         same profile. {roots} root certificates are trusted over HTTPS.\n\n{}{programs}",
        not_run.unwrap_or_default()
    )
}

fn reads(reads: &Table) -> String {
    let rows = reads.iter().filter_map(|(name, samples)| {
        let (subject, threads) = name.split_once('/')?;
        let bare = relative(reads, name, &format!("arc_swap_load_index/{threads}"));
        Some(vec![format!("`{subject}`"), threads.to_owned(), format!("{:.1} ns", samples.median()), bare])
    });
    format!(
        "## Read\n\nOne read, relative to a bare `ArcSwap::load` and an array index in the same round. `control` touches nothing \
         that is shared. `crates/ksm-storage/tests/allocation.rs` asserts that a read allocates nothing.\n\n{}",
        table(&["", "threads", "median", "relative to `arc_swap_load_index`"], rows)
    )
}

fn writes(queue: &Queue) -> String {
    let unit = queue.one.median();
    let row = |name: String, samples: &Samples| {
        let times =
            [50.0, 90.0, 99.0, 100.0].map(|percent| format!("{:.2} ×", samples.percentile(percent) / unit));
        std::iter::once(name).chain(times).collect()
    };
    let rows = [row("one writer".to_owned(), &queue.one), row(format!("{WRITERS} writers"), &queue.many)];
    format!(
        "## Write\n\nThe time of a `set` over HTTP, relative to the median of a single writer. {WRITERS} concurrent writers share \
         commits, and make {:.1} times as many writes as one that waits for each.\n\n{}",
        queue.speed_up,
        table(&["", "median", "90 %", "99 %", "longest"], rows)
    )
}

fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let rows = rows.into_iter().map(|row| format!("| {} |\n", row.join(" | ")));
    format!("| {} |\n|{}\n{}", head.join(" | "), "---|".repeat(head.len()), rows.collect::<String>())
}

fn milliseconds(table: &Table, name: &str) -> String {
    table.get(name).map_or_else(String::new, |samples| format!("{:.1} ms", samples.median()))
}

fn relative(table: &Table, name: &str, other: &str) -> String {
    ratio(table, name, other).map_or_else(String::new, |ratio| format!("{ratio:.2} ×"))
}
