//! docs/performance.md.
#![expect(clippy::format_push_string, reason = "a page is short")]

use crate::{
    goals::{self, CHECK, Goal},
    processes::{INCREMENTS, PROCESSES, Processes},
    programs::Program,
    queue::{Queue, WRITERS},
    samples::{Samples, Table, float},
    start::{BARE, BARE_DEFAULT, OURS, OURS_MINIMAL, PROGRAMS, PYTHON, Starts},
};

pub(crate) struct Report {
    pub(crate) starts: Starts,
    pub(crate) queue: Queue,
    pub(crate) processes: Processes,
    pub(crate) reads: Table,
    pub(crate) instructions: Option<[u64; 3]>,
    pub(crate) programs: Vec<Program>,
    pub(crate) benches: Vec<(String, f64)>,
    pub(crate) machine: Vec<String>,
}

impl Report {
    pub(crate) fn to_markdown(&self, rounds: usize) -> String {
        let sections = [
            format!(
                "# Performance\n\nWritten by `cargo xtask bench`, which builds and measures everything again. Only ratios and \
                 counts are claimed: times are of one machine, and a ratio is the median of {rounds} ratios of neighbours, \
                 measured in turn. The AWS service is the emulator of `ksm-storage-aws` on loopback, so that neither a \
                 network nor a server in Python is part of what is compared.\n\n\
                 <img src=\"performance.svg\" alt=\"starts and writes\">\n"
            ),
            goals(&goals::all(self)),
            self.starting(),
            self.reading(),
            self.writing(),
            self.building(),
            self.repeating(),
        ];
        sections.join("\n")
    }

    fn starting(&self) -> String {
        let Starts { http, https, modes, off_ec2, peak, calls, roots, without_python } = &self.starts;
        let mut text = format!(
            "## Start\n\nFrom the start of the process to its end, after one configuration was read. `{BARE_DEFAULT}` and \
             `{BARE}` are the AWS SDK and one `GetSecretValue`, with default features and with as few as do; `{OURS}` opens a \
             storage with the feature `aws`, `{OURS_MINIMAL}` with `aws-minimal` and `tls-ring`; `{PYTHON}` is Keeper's \
             `AwsSecretStorage`. All but the last are built alike. {roots} root certificates are trusted over HTTPS.\n\n"
        );
        if let Some(why) = without_python {
            text += &format!("`{PYTHON}` was not run: {why}.\n\n");
        }
        let mut rows = Vec::new();
        for name in PROGRAMS.into_iter().chain([PYTHON]).filter(|name| http.contains_key(*name)) {
            rows.push(vec![
                format!("`{name}`"),
                milliseconds(&http[name]),
                by(http, name, BARE_DEFAULT),
                milliseconds(&https[name]),
                by(https, name, BARE_DEFAULT),
                format!("{:.1} MiB", peak[name].median() / 1024.0),
            ]);
        }
        let by_bare = format!("by `{BARE_DEFAULT}`");
        text +=
            &table(&["", "HTTP, median", &by_bare, "HTTPS, median", &by_bare, "peak memory, HTTPS"], &rows);
        text += &format!(
            "\nBy mode, over HTTP, with `{OURS_MINIMAL}`; the last row is `{BARE}` where it has to find region and credentials \
             in the instance's metadata, as `ec2` does.\n\n"
        );
        let rows = calls.iter().map(|(name, [gets, puts, metadata, _])| {
            let calls = format!("{gets} get, {puts} put, {metadata} metadata");
            vec![format!("`{name}`"), calls, milliseconds(&modes[*name]), by(modes, name, BARE)]
        });
        text += &table(&["", "calls", "median", &format!("by `{BARE}`")], &rows.collect::<Vec<_>>());
        text += &format!(
            "\nOff EC2, where the metadata service does not answer, EC2 mode fails after {}, which is {} of what `{BARE}` takes \
             to fail there.\n",
            milliseconds(&off_ec2[OURS_MINIMAL]),
            by(off_ec2, OURS_MINIMAL, BARE)
        );
        text
    }

    fn reading(&self) -> String {
        let mut text = "## Read\n\nOne read, by the bare `ArcSwap::load` and an array index, measured in the same round, \
                        optimised for speed across crates (`lto = \"fat\"`). `control` touches nothing that is shared.\n\n"
            .to_owned();
        let rows = self.reads.iter().filter_map(|(name, samples)| {
            let (what, threads) = name.split_once('/')?;
            let bare = self.reads.get(&format!("arc_swap_load_index/{threads}"))?;
            let ratio = samples.by(bare).median();
            Some(vec![
                format!("`{what}`"),
                threads.to_owned(),
                format!("{:.1} ns", samples.median()),
                ratio_text(ratio),
            ])
        });
        text += &table(&["", "threads", "median", "by `arc_swap_load_index`"], &rows.collect::<Vec<_>>());
        text += "\nThat a read allocates nothing is asserted by `tests/allocation.rs`.\n\n";
        text += &match self.instructions {
            None => "Instructions were not counted: valgrind is missing.\n".to_owned(),
            Some([get, parse, open]) => format!(
                "Instructions, counted by callgrind: `get` {get}, parsing a configuration {parse}, opening on the emulator in \
                 process {open}.\n"
            ),
        };
        let Some((_, unit)) = self.benches.iter().find(|(name, _)| name == "read/arc_swap_load_index") else {
            return text;
        };
        let rows = self.benches.iter().filter(|(name, _)| !name.starts_with(CHECK)).map(|(name, median)| {
            vec![format!("`{name}`"), format!("{median:.1} ns"), ratio_text(median / unit)]
        });
        text += "\nWhat criterion says of `benches/storage.rs`, on one thread. It measures one \
                 after the other, and cargo's default profile does not optimise across crates: the ratios say what is \
                 large and what is small.\n\n";
        text + &table(&["", "median", "by `arc_swap_load_index`"], &rows.collect::<Vec<_>>())
    }

    fn writing(&self) -> String {
        let Queue { puts: _, one, many, speed_up } = &self.queue;
        let unit = one.median();
        let row = |name: String, samples: &Samples| {
            let percentiles = [50.0, 90.0, 99.0, 100.0];
            let times = percentiles.map(|percent| ratio_text(samples.percentile(percent) / unit));
            std::iter::once(name).chain(times).collect()
        };
        let rows: [Vec<_>; 2] = [row("one writer".to_owned(), one), row(format!("{WRITERS} writers"), many)];
        let mut text = format!(
            "## Write\n\nHow long a `set` takes over HTTP, by the median of one writer alone; {WRITERS} concurrent writers share \
             commits, and make {speed_up:.1} times the writes of one who waits for each.\n\n"
        );
        text += &table(&["", "median", "90 %", "99 %", "longest"], &rows);
        let Processes { counted, conflicts, timeouts, gets, puts } = &self.processes;
        let each = |calls: &usize| float(*calls) / float(PROCESSES * INCREMENTS);
        text + &format!(
            "\n{PROCESSES} processes of {INCREMENTS} increments each on one secret, with the default limits: {counted} are \
             counted in the end, {conflicts} updates ended in a conflict and {timeouts} in a timeout. A committed change took {:.1} calls of \
             `GetSecretValue` and {:.1} of `PutSecretValue`; a writer alone needs 2 and 1.\n",
            each(gets),
            each(puts)
        )
    }

    fn building(&self) -> String {
        let ours = format!("`{OURS}`");
        let unit = self.programs.iter().find(|program| program.name == ours).and_then(|it| it.build_seconds);
        let rows = self.programs.iter().map(|program| {
            let build = match (program.build_seconds, unit) {
                (Some(seconds), Some(unit)) => {
                    format!("{seconds:.0} s of processor time, {}", ratio_text(seconds / unit))
                }
                _ => "not measured".to_owned(),
            };
            let size = format!("{:.2} MB", program.megabytes);
            vec![program.name.clone(), program.crates.to_string(), size, build]
        });
        let mut text = "## Size and build\n\nWith the release profile that the README recommends, but for the last row, which \
                        is stripped, too; the crates include the program itself.\n\n"
            .to_owned();
        text +=
            &table(&["", "crates", "program", &format!("clean build, by {ours}")], &rows.collect::<Vec<_>>());
        text
    }

    fn repeating(&self) -> String {
        let machine = self.machine.join("\n- ");
        format!(
            "## Repeat it\n\n```text\ncargo xtask bench\n```\n\nIt needs the Rust toolchain, `python3` for Keeper's package and \
             `valgrind` for the instructions; what is missing is left out, and the report says so. Leave the machine alone \
             meanwhile. `cargo xtask bench --quick` measures a few times and prints the report.\n\nMeasured with:\n\n- {machine}\n"
        )
    }
}

fn goals(goals: &[Goal]) -> String {
    let rows = goals.iter().map(|Goal { what, reach, figure, met }| {
        let verdict = match met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "not run",
        };
        vec![what.clone(), reach.clone(), figure.clone(), verdict.to_owned()]
    });
    "## Goals\n\n".to_owned() + &table(&["", "goal", "measured", ""], &rows.collect::<Vec<_>>())
}

fn table<R: AsRef<[String]>>(head: &[&str], rows: &[R]) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        text += &format!("| {} |\n", row.as_ref().join(" | "));
    }
    text
}

fn milliseconds(samples: &Samples) -> String {
    format!("{:.1} ms", samples.median())
}

/// The median of the ratios of neighbours.
fn by(table: &Table, name: &str, other: &str) -> String {
    ratio_text(table[name].by(&table[other]).median())
}

pub(crate) fn ratio_text(ratio: f64) -> String {
    format!("{ratio:.2} ×")
}
